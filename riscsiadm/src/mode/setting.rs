//! `-n KEY -v VALUE`: from what was typed to what a record takes.

use super::Context;
use crate::cli::setting::{Setting, Value};
use crate::command::access::read_secrets;
use crate::db::error::DbError;
use crate::db::keys::Scope;
use crate::db::record::Record;
use crate::exit::Exit;
use crate::failure::Failure;

/// Keys and values, as the database takes them.
pub(super) type Changes = Vec<(String, String)>;

/// The changes that settings ask for. Secrets that stand in a file are read from there.
pub(super) fn changes(context: &Context, settings: &[Setting]) -> Result<Changes, Failure> {
    let needs_file = settings.iter().any(|setting| !matches!(setting.value, Value::Text(_)));
    let file = context.extras.secret_file.as_deref().filter(|_| needs_file);
    let secrets = file.map(read_secrets).transpose()?;
    let value = |setting: &Setting| {
        let secret = match &setting.value {
            Value::Text(text) => Some(text),
            Value::Secret => secrets.as_ref().map(|secrets| &secrets.secret),
            Value::TargetSecret => secrets.as_ref().and_then(|secrets| secrets.target_secret.as_ref()),
        };
        secret.map(|value| (setting.name.clone(), value.to_string()))
    };
    let missing = |setting: &Setting| Failure::invalid(format!("{}: the secret file has no second line", setting.name));
    settings.iter().map(|setting| value(setting).ok_or_else(|| missing(setting))).collect()
}

/// Whether a new record of this kind would take the changes, so that one that cannot is not even made.
pub(super) fn check(scope: Scope, changes: &Changes) -> Result<(), DbError> {
    let mut record = Record::new(scope);
    Ok(changes.iter().try_for_each(|(key, value)| record.set(key, value))?)
}

/// Says what is wrong, and what would have been right where that is known.
pub(super) fn explain(context: &Context, error: DbError) -> Exit {
    context.warn(&error.to_string());
    if let DbError::Key(key) = &error
        && let Some(expected) = key.expected()
    {
        context.warn(&format!("The value has to be {expected}"));
    }
    Failure::from(error).exit
}

/// The same, as the end of the call.
pub(super) fn told(context: &Context, error: DbError) -> Failure {
    Failure::told(explain(context, error))
}
