//! From the credentials of a record to what a login proves and demands.

use iscsi_initiator::core::chap::Algorithm;
use iscsi_initiator::core::secret::{Auth, Chap, CredentialError, Credentials, Secret};
use zeroize::Zeroizing;

use super::Context;
use crate::command::access::{read_secrets, variable};
use crate::db::record::Record;
use crate::failure::Failure;

/// A user name alone switches CHAP on, whatever `authmethod` says, as in iscsiadm; many records have no more than that.
///
/// A secret comes from `--secret-file`, from the record, or from the environment, in this order. `prefix` is what stands
/// before `.auth` in the keys. The login may go on without CHAP if the target does not want it, unless `strict`, or
/// unless the target has to prove itself.
pub(crate) fn auth(context: &Context, record: &Record, prefix: &str, strict: bool) -> Result<Auth, Failure> {
    let key = |name: &str| format!("{prefix}.auth.{name}");
    let secrets = Secrets::read(context)?;
    let Some(ours) = credentials(record, &key("username"), &key("password"), &secrets.ours)? else {
        return refuse_idle_file(context, &key("username"));
    };
    let mut chap = Chap::new(ours).with_algorithms(&algorithms(record)).map_err(Failure::invalid)?;
    if let Some(theirs) = credentials(record, &key("username_in"), &key("password_in"), &secrets.theirs)? {
        chap = chap.with_target(theirs).map_err(Failure::invalid)?;
    }
    let optional = !strict && chap.target().is_none();
    Ok(Auth::Chap(if optional { chap.or_none() } else { chap }))
}

/// Secrets that stand outside of records.
struct Secrets {
    ours: Outside,
    theirs: Outside,
}

#[derive(Default)]
struct Outside {
    file: Option<Zeroizing<String>>,
    environment: Option<Zeroizing<String>>,
}

impl Secrets {
    fn read(context: &Context) -> Result<Self, Failure> {
        let file = context.extras.secret_file.as_deref().map(read_secrets).transpose()?;
        let (ours, theirs) = file.map_or((None, None), |file| (Some(file.secret), file.target_secret));
        Ok(Self {
            ours: Outside { file: ours, environment: variable("RISCSI_SECRET")? },
            theirs: Outside { file: theirs, environment: variable("RISCSI_TARGET_SECRET")? },
        })
    }
}

fn credentials(record: &Record, user: &str, password: &str, outside: &Outside) -> Result<Option<Credentials>, Failure> {
    let name = record.get(user);
    if name.is_empty() {
        return Ok(None);
    }
    let stored = Some(record.get(password)).filter(|text| !text.is_empty());
    let secret = outside.file.as_ref().map(|text| text.as_str()).or(stored);
    let secret = secret.or_else(|| outside.environment.as_ref().map(|text| text.as_str()));
    let secret = secret.ok_or_else(|| {
        Failure::invalid(format!(
            "there is no secret for the user {name:?}: set {password}, or give it by --secret-file or in the environment"
        ))
    })?;
    let named = |error: CredentialError| Failure::invalid(format!("{password}: {error}"));
    let secret: Secret = secret.parse().map_err(named)?;
    Credentials::new(name, secret).map(Some).map_err(named)
}

fn refuse_idle_file(context: &Context, user: &str) -> Result<Auth, Failure> {
    match context.extras.secret_file {
        Some(_) => Err(Failure::invalid(format!("there is a secret file but no user: set {user}"))),
        None => Ok(Auth::None),
    }
}

/// Best first. A record names no others than these; MD5 is what every target knows.
fn algorithms(record: &Record) -> Vec<Algorithm> {
    let mut algorithms = Vec::new();
    for word in record.get("node.session.auth.chap_algs").split(',') {
        let algorithm = word.trim().parse().unwrap_or(Algorithm::Md5);
        if !algorithms.contains(&algorithm) {
            algorithms.push(algorithm);
        }
    }
    algorithms
}
