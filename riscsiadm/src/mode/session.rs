//! `-m session`.

use super::Context;
use crate::cli::request::Session;
use crate::exit::Exit;
use crate::failure::Failure;

pub(super) fn run(context: &Context, request: Session) -> Result<(), Failure> {
    let sessions = super::login::live(context)?;
    let exit = if sessions.is_empty() { Exit::NothingFound } else { Exit::NotSupported };
    drop(request);
    Err(Failure::new(exit, "No active sessions."))
}
