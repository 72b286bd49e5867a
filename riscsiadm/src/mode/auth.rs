//! The credentials of a call: those of a record, and those that stand outside of records.

use iscsi_initiator::core::secret::Auth;

use super::Context;
use crate::command::access::{read_secrets, variable};
use crate::db::record::Record;
use crate::failure::Failure;
use crate::ipc::secret::{Hidden, Outside, Secrets};
use crate::settings;

/// What a login by `record` proves and demands: see [`settings::auth::auth`].
pub(crate) fn auth(context: &Context, record: &Record, prefix: &str, strict: bool) -> Result<Auth, Failure> {
    settings::auth::auth(record, prefix, strict, &secrets(context)?)
}

/// The secrets of `--secret-file` and of the environment.
pub(crate) fn secrets(context: &Context) -> Result<Secrets, Failure> {
    let file = context.extras.secret_file.as_deref().map(read_secrets).transpose()?;
    let (ours, theirs) = file.map_or((None, None), |file| (Some(file.secret), file.target_secret));
    let outside = |file: Option<_>, name| {
        let environment = variable(name)?.map(Hidden::from);
        Ok::<_, Failure>(Outside { file: file.map(Hidden::from), environment })
    };
    Ok(Secrets { ours: outside(ours, "RISCSI_SECRET")?, theirs: outside(theirs, "RISCSI_TARGET_SECRET")? })
}
