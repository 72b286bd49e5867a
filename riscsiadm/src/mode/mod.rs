//! The modes of iscsiadm, carried out: one file a mode, and `Context`, which all of them share.
//!
//! Data goes to standard output, and what a person should know to standard error, each line behind the program's name.
//! Callers take any text there for a failure, so nothing is said when all is well.

pub(crate) mod auth;
mod context;
mod discovery;
mod firmware;
mod host;
mod iface;
pub(crate) mod login;
mod node;
mod select;
mod session;
mod setting;
mod startup;

use crate::cli::args::Extras;
use crate::cli::program::Program;
use crate::cli::request::Request;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::log;

pub(crate) use context::Context;

/// Carries out a request, and says how the process ends. What went wrong has been printed then.
pub fn run(program: &Program, request: Request, extras: Extras) -> Exit {
    log::start(program, extras.debug);
    let json = extras.json;
    match Context::open(program, extras) {
        Ok(context) => {
            let result = dispatch(&context, request);
            context.finish(result)
        }
        Err(failure) => context::report(program, json, Vec::new(), Err(failure)),
    }
}

fn dispatch(context: &Context, request: Request) -> Result<(), Failure> {
    match request {
        Request::Discovery(request) => discovery::run(context, request),
        Request::DiscoveryDb(request) => discovery::run_db(context, request),
        Request::Node(request) => node::run(context, request),
        Request::Session(request) => session::run(context, request),
        Request::Iface(request) => iface::run(context, request),
        Request::Host(request) => host::run(context, request),
        Request::Firmware(request) => firmware::run(context, request),
        Request::StopDaemon => login::stop(context),
    }
}
