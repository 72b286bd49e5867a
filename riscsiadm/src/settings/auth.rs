//! From the credentials of a record to what a login proves and demands.

use iscsi_initiator::core::chap::Algorithm;
use iscsi_initiator::core::secret::{Auth, Chap, CredentialError, Credentials, Secret};

use crate::db::record::Record;
use crate::failure::Failure;
use crate::ipc::secret::{Hidden, Outside, Secrets};

/// User names and secrets as they are in force, to be shown to who may see them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub(crate) username: String,
    pub(crate) password: Hidden,
    pub(crate) username_in: String,
    pub(crate) password_in: Hidden,
}

/// A user name alone switches CHAP on, whatever `authmethod` says, as in iscsiadm; many records have no more than that.
///
/// A secret comes from the file, from the record, or from the environment, in this order. `prefix` is what stands before
/// `.auth` in the keys. The login may go on without CHAP if the target does not want it, unless `strict`, or unless the
/// target has to prove itself.
pub(crate) fn auth(record: &Record, prefix: &str, strict: bool, secrets: &Secrets) -> Result<Auth, Failure> {
    let key = |name: &str| format!("{prefix}.auth.{name}");
    let Some(ours) = credentials(record, &key("username"), &key("password"), &secrets.ours)? else {
        return match secrets.ours.file {
            Some(_) => Err(Failure::invalid(format!("there is a secret file but no user: set {}", key("username")))),
            None => Ok(Auth::None),
        };
    };
    let mut chap = Chap::new(ours).with_algorithms(&algorithms(record)).map_err(Failure::invalid)?;
    if let Some(theirs) = credentials(record, &key("username_in"), &key("password_in"), &secrets.theirs)? {
        chap = chap.with_target(theirs).map_err(Failure::invalid)?;
    }
    let optional = !strict && chap.target().is_none();
    Ok(Auth::Chap(if optional { chap.or_none() } else { chap }))
}

/// The credentials of a node record as [`auth`] uses them.
pub(crate) fn names(record: &Record, prefix: &str, secrets: &Secrets) -> Names {
    let value = |name: &str| record.get(&format!("{prefix}.auth.{name}"));
    let hidden = |name: &str, outside| choose(value(name), outside).map_or_else(Hidden::default, Hidden::from);
    Names {
        username: value("username").to_owned(),
        password: hidden("password", &secrets.ours),
        username_in: value("username_in").to_owned(),
        password_in: hidden("password_in", &secrets.theirs),
    }
}

fn credentials(record: &Record, user: &str, password: &str, outside: &Outside) -> Result<Option<Credentials>, Failure> {
    let name = record.get(user);
    if name.is_empty() {
        return Ok(None);
    }
    let secret = choose(record.get(password), outside).ok_or_else(|| {
        Failure::invalid(format!(
            "there is no secret for the user {name:?}: set {password}, or give it by --secret-file or in the environment"
        ))
    })?;
    let named = |error: CredentialError| Failure::invalid(format!("{password}: {error}"));
    let secret: Secret = secret.parse().map_err(named)?;
    Credentials::new(name, secret).map(Some).map_err(named)
}

fn choose<'a>(stored: &'a str, outside: &'a Outside) -> Option<&'a str> {
    let stored = Some(stored).filter(|text| !text.is_empty());
    outside.file.as_ref().map(Hidden::as_str).or(stored).or_else(|| outside.environment.as_ref().map(Hidden::as_str))
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
