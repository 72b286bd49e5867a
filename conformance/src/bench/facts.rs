//! On what a measurement was made.

use std::fs;
use std::process::Command;
use std::thread;

/// Lines about the machine and the programs, as `what: value`.
pub fn facts() -> Vec<String> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    [
        ("Processor", processor(&read("/proc/cpuinfo"))),
        ("Cores", Some(cores.to_string())),
        ("Memory", memory(&read("/proc/meminfo"))),
        ("Kernel", Some(read("/proc/sys/kernel/osrelease").trim().to_owned())),
        ("System", system(&read("/etc/os-release"))),
        ("Compiler", version("rustc", &["--version"])),
        ("libiscsi", version("dpkg-query", &["-W", "-f", "${Version}", "libiscsi7"])),
        ("Version", Some(env!("CARGO_PKG_VERSION").to_owned())),
    ]
    .into_iter()
    .filter_map(|(what, value)| Some(format!("{what}: {}", value.filter(|value| !value.is_empty())?)))
    .collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn processor(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn memory(meminfo: &str) -> Option<String> {
    let kib: u64 = meminfo.lines().next()?.split_whitespace().nth(1)?.parse().ok()?;
    Some(format!("{} GiB", kib.div_ceil(1 << 20)))
}

fn system(release: &str) -> Option<String> {
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned())
}

fn version(program: &str, args: &[&str]) -> Option<String> {
    let done = Command::new(program).args(args).output().ok().filter(|done| done.status.success())?;
    Some(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_found_in_what_the_system_tells() {
        assert_eq!(processor("processor\t: 0\nmodel name\t: A  CPU\n"), Some("A  CPU".into()));
        assert_eq!(memory("MemTotal:       24567890 kB\n"), Some("24 GiB".into()));
        assert_eq!(system("ID=x\nPRETTY_NAME=\"A System 1\"\n"), Some("A System 1".into()));
        assert_eq!(processor(""), None);
    }
}
