use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Runs "$@", prints its process id, and kills it when standard input ends. That happens when the owner lets go, and
/// also when the owner dies without a word, by Ctrl-C for example; hence the ignored signals.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
exec 3<&0
"$@" </dev/null >&2 3<&- &
child=$!
{ read -r _ <&3; kill -9 $child; } &
watch=$!
exec 3<&-
echo $child
wait $child
status=$?
kill -9 $watch 2>/dev/null
exit $status
"#;

/// A child process that does not outlive its owner, however the owner ends.
///
/// Dropping the leash kills the child with SIGKILL, by its own process id, and waits until it is gone. Some targets
/// ignore every gentler signal.
#[derive(Debug)]
pub struct Leash {
    shell: Child,
    pid: u32,
}

impl Leash {
    /// Starts a command: its program, arguments and environment are used, its streams are not.
    ///
    /// Standard input is empty, and both outputs go to `log`. A program that cannot be run is seen as one that ended.
    pub fn start(command: &Command, log: File) -> io::Result<Self> {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(SCRIPT).arg("leash").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn()?;
        let pid = first_line(&mut shell)?.parse().map_err(io::Error::other)?;
        Ok(Self { shell, pid })
    }

    /// The process id of the child.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the child still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.shell.try_wait(), Ok(None))
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // The shell ends right after its child; an error would mean that it was reaped before.
        let _ = self.shell.wait();
    }
}

fn first_line(shell: &mut Child) -> io::Result<String> {
    let stdout = shell.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn start(script: &str, log: &Path) -> Leash {
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).env("LAB_WORD", "hello");
        Leash::start(&command, File::create(log).unwrap()).unwrap()
    }

    fn exists(pid: u32) -> bool {
        Path::new(&format!("/proc/{pid}")).exists()
    }

    /// Polls for 10 s at most.
    fn until(mut done: impl FnMut() -> bool) -> bool {
        (0..2000).any(|_| {
            let is_done = done();
            if !is_done {
                thread::sleep(Duration::from_millis(5));
            }
            is_done
        })
    }

    #[test]
    fn dropping_the_leash_kills_a_child_that_ignores_signals() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut leash = start("trap '' INT TERM HUP; echo $$ $LAB_WORD; exec sleep 600", log.path());
        let pid = leash.pid();
        assert!(until(|| !fs::read_to_string(log.path()).unwrap().is_empty()));
        assert_eq!(fs::read_to_string(log.path()).unwrap(), format!("{pid} hello\n"));
        assert!(leash.is_running());
        assert!(exists(pid));

        drop(leash);
        assert!(!exists(pid));
    }

    #[test]
    fn a_child_that_ends_by_itself_is_noticed() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut leash = start("echo bad luck >&2; exit 3", log.path());
        assert!(until(|| !leash.is_running()));
        assert_eq!(fs::read_to_string(log.path()).unwrap(), "bad luck\n");
    }

    #[test]
    fn a_program_that_does_not_exist_ends_at_once() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let command = Command::new("/no/such/program");
        let mut leash = Leash::start(&command, log.reopen().unwrap()).unwrap();
        assert!(until(|| !leash.is_running()));
        assert!(fs::read_to_string(log.path()).unwrap().contains("/no/such/program"));
    }

    #[test]
    fn the_child_dies_with_an_owner_that_was_killed() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut leash = start("exec sleep 600", log.path());
        let pid = leash.pid();
        // What the kernel does to the pipe of a process that is killed.
        drop(leash.shell.stdin.take());
        assert!(until(|| !exists(pid)));
    }
}
