//! The bundled target, made to misbehave by a script.
//!
//! The target's core answers as it should, and the script changes what leaves it, or what reaches it. It reads like a dialogue: each line says on
//! which PDU what is done. Lines that fit the same PDU are applied in their order, `#` starts a comment.
//!
//! ```text
//! on 1st LoginResponse: set status 02 01
//! on 2nd LoginResponse: set key MaxBurstLength=0, remove key TargetPortalGroupTag
//! on 3rd DataIn: corrupt data byte 7
//! on every R2T: duplicate
//! on every DataIn from 2nd: set offset +4
//! on 1st ScsiResponse: precede with AsyncMessage event 4 parameter3 3, delay 20 s
//! on 2nd DataOut: corrupt data digest
//! on 4th ScsiCommand of 1st connection: close
//! on 1st TaskReassign: answer with TaskResponse response 4
//! on 1st Snack: answer with Reject reason 3
//! on connect: send "HTTP/1.1 400 Bad Request\x0d\x0a", close
//! ```
//!
//! | When | |
//! |---|---|
//! | `connect` | before anything else |
//! | `1st DataIn`, `2nd R2T`, `12th PDU` | one PDU, counted on the connection; `PDU` is any |
//! | `every NopIn`, `every PDU from 3rd` | all of them, or all from one on |
//! | `1st Snack`, `every DataOut`, `3rd Request` | requests of the initiator, before the target sees them; `Request` is any, `TaskReassign` a TaskRequest for that |
//! | `… of 2nd connection` | only on the connection that came second |
//!
//! | Action | |
//! |---|---|
//! | `set FIELD VALUE` | before digests are made: the target lies. See [`Field`] for the names. A value is a number, `0x…`, `+N` or `-N` for what was there, `reserved` for all ones, or the bytes in hex: `set status 02 01` |
//! | `set key K=V`, `add key K=V`, `remove key K`, `text K=V…` | the text of the data segment; `$portal` stands for the target's address |
//! | `data N bytes`, `data "…"` | another data segment: the old one cut or filled up with zeros, or these bytes |
//! | `corrupt header byte N`, `corrupt data byte N`, `corrupt header digest`, `corrupt data digest` | after digests are made: the network damages |
//! | `drop`, `duplicate`, `duplicate N times` | |
//! | `hold N PDUs` | it goes out behind the next N |
//! | `delay N s`, `delay N ms` | it and all behind it |
//! | `truncate at N` | only its first N bytes go out |
//! | `split every N`, `split every N for M ms` | in pieces of N bytes, with M ms between them |
//! | `precede with KIND FIELD VALUE…`, `follow with KIND FIELD VALUE… data "…" x N` | a PDU that the target never meant, numbered as it should be, with the digests of the PDU beside it; and N of them |
//! | `answer with KIND FIELD VALUE…` | the target does not see the request; this comes in its place, with the tag of the request, or for a Reject its header |
//! | `shut window`, `open window` | from this PDU on MaxCmdSN is ExpCmdSN - 1, or as it should be |
//! | `send "…"` | bytes that are no PDU, behind this one |
//! | `close`, `silence`, `deaf` | behind this PDU the target closes, says nothing more, or reads nothing more |
//!
//! To requests `drop`, `corrupt` and `answer` can be done, and what has nothing to do with a PDU: `send`, `close`, `silence` and
//! `deaf` come before the target's answer. StatSNs of PDUs that were inserted are kept from the target: what it hears of
//! ExpStatSN is what it would hear without them.
//!
//! [`serve`] runs a connection over any transport, which with tokio's paused clock and an in-memory pipe is virtual time;
//! [`Server`] listens on TCP.

mod action;
mod engine;
mod field;
mod numbers;
mod outgoing;
mod parse;
mod script;
mod serve;
mod words;

pub use engine::{Engine, Step};
pub use field::Field;
pub use script::{Script, ScriptError};
pub use serve::{Server, serve, serve_nth};
