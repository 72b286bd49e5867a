//! Labs that outlive the command that started them.
//!
//! A process of its own holds such a lab, and listens on a Unix socket. Whoever connects is told how to reach the lab, and may
//! answer `down`. If the process dies, so do the leashes that it held.

use std::fs::{self, DirBuilder};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Kind, Lab, LabError};

const DOWN: &str = "down\n";
const PATIENCE: Duration = Duration::from_secs(30);

/// Brings a lab up, unless it is up already, and says how to reach it. It stays up until [`down`].
pub fn up(kind: &Kind) -> Result<String, LabError> {
    if let Ok(mut there) = UnixStream::connect(socket(kind)?) {
        return told(&mut there);
    }
    (kind.prepare)()?;
    let program = std::env::current_exe().map_err(LabError::io("find this program"))?;
    let mut holder = Command::new(program);
    holder.args(["hold", kind.name]).stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
    let mut holder = holder.spawn().map_err(LabError::io("start a process for the lab"))?;
    let mut said = String::new();
    let stdout = holder.stdout.take().map(BufReader::new);
    stdout.into_iter().try_for_each(|out| read_until_ready(out, &mut said)).map_err(LabError::io("hear of the lab"))?;
    let mut there = UnixStream::connect(socket(kind)?).map_err(|_| LabError::NotReady { why: said })?;
    told(&mut there)
}

/// Ends a lab. Says whether there was one.
pub fn down(kind: &Kind) -> Result<bool, LabError> {
    let Ok(mut there) = UnixStream::connect(socket(kind)?) else { return Ok(false) };
    told(&mut there)?;
    there.set_read_timeout(Some(PATIENCE)).map_err(LabError::io("wait for the lab"))?;
    there.write_all(DOWN.as_bytes()).map_err(LabError::io("speak to the lab"))?;
    // The end comes when all of it is gone.
    there.read_to_end(&mut Vec::new()).map_err(LabError::io("wait for the lab"))?;
    Ok(true)
}

/// Starts a lab, prints a line when it is ready, and keeps it until [`down`].
pub fn hold(kind: &Kind) -> Result<(), LabError> {
    let lab = (kind.start)()?;
    let path = socket(kind)?;
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path).map_err(LabError::io("listen on a socket"))?;
    println!("{READY}");
    let asked = listener.incoming().filter_map(Result::ok).find_map(|there| serve(lab.as_ref(), there));
    let _ = fs::remove_file(&path);
    drop(lab);
    drop(asked);
    Ok(())
}

const READY: &str = "ready";

fn read_until_ready(out: impl BufRead, said: &mut String) -> io::Result<()> {
    for line in out.lines() {
        let line = line?;
        if line == READY {
            break;
        }
        said.push_str(&line);
        said.push('\n');
    }
    Ok(())
}

/// Gives the connection back if the lab shall end.
fn serve(lab: &dyn Lab, there: UnixStream) -> Option<UnixStream> {
    let text = format!("{}\n{}\n", lab.version(), lab.reach());
    there.set_read_timeout(Some(PATIENCE)).ok()?;
    (&there).write_all(&length(&text)).ok()?;
    (&there).write_all(text.as_bytes()).ok()?;
    let mut word = String::new();
    BufReader::new(&there).read_line(&mut word).ok()?;
    (word == DOWN).then_some(there)
}

fn length(text: &str) -> [u8; 4] {
    u32::try_from(text.len()).unwrap_or_default().to_be_bytes()
}

fn told(there: &mut UnixStream) -> Result<String, LabError> {
    let read = |there: &mut UnixStream| {
        let mut length = [0; 4];
        there.set_read_timeout(Some(PATIENCE))?;
        there.read_exact(&mut length)?;
        let mut text = String::new();
        there.take(u32::from_be_bytes(length).into()).read_to_string(&mut text)?;
        Ok(text)
    };
    read(there).map_err(LabError::io("hear of the lab"))
}

/// In a folder that only this user can enter.
fn socket(kind: &Kind) -> Result<PathBuf, LabError> {
    let user = rustix::process::getuid().as_raw();
    let folder = std::env::temp_dir().join(format!("riscsi-lab-{user}"));
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(LabError::io("make a directory")(error)),
        _ => Ok(folder.join(kind.name)),
    }
}
