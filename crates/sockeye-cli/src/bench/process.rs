//! What processes cost: our own from the clock of the kernel, a server's from `/proc`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::time::{ClockId, clock_gettime};

/// Processor time of this process, user and kernel, all threads.
pub(super) fn own() -> Duration {
    clock(ClockId::ProcessCPUTime)
}

/// Processor time of this thread.
pub(super) fn own_thread() -> Duration {
    clock(ClockId::ThreadCPUTime)
}

fn clock(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec.clamp(0, 999_999_999) as u32)
}

/// The processes of a server, from `--pid`.
#[derive(Clone, Debug)]
pub(super) struct Processes(Vec<u32>);

/// Several processes added up. Memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) user: Duration,
    pub(super) system: Duration,
    pub(super) resident: u64,
}

impl Usage {
    pub(super) fn cpu(&self) -> Duration {
        self.user + self.system
    }
}

impl Processes {
    /// Fails if one of them cannot be read, so that a wrong number shows before the run.
    pub(super) fn new(pids: &[u32]) -> anyhow::Result<Option<Self>> {
        if pids.is_empty() {
            return Ok(None);
        }
        ensure!(cfg!(target_os = "linux"), "--pid reads /proc, which only Linux has");
        let processes = Self(pids.to_vec());
        processes.usage()?;
        Ok(Some(processes))
    }

    pub(super) fn usage(&self) -> anyhow::Result<Usage> {
        let mut usage = Usage::default();
        for pid in &self.0 {
            let read = |file: &str| {
                let path = PathBuf::from(format!("/proc/{pid}/{file}"));
                std::fs::read_to_string(path)
                    .with_context(|| format!("--pid {pid}: there is no such process"))
            };
            let (user, system) =
                times(&read("stat")?).with_context(|| format!("/proc/{pid}/stat is not as expected"))?;
            usage.user += user;
            usage.system += system;
            usage.resident += resident(&read("status")?).unwrap_or_default();
        }
        Ok(usage)
    }
}

/// User and kernel time out of `/proc/PID/stat`, which counts in hundredths of a second.
fn times(stat: &str) -> Option<(Duration, Duration)> {
    // The name may hold anything, parentheses too; the fields begin behind the last one.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut time = || fields.next()?.parse::<u64>().ok().map(|ticks| Duration::from_millis(ticks * 10));
    Some((time()?, time()?))
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_files_are_read() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 99 0 0 0 250 75 0 0 20 0 1";
        assert_eq!(times(stat), Some((Duration::from_millis(2500), Duration::from_millis(750))));
        assert_eq!(resident("VmPeak:\t 9 kB\nVmRSS:\t    1234 kB\n"), Some(1234 * 1024));
    }

    #[test]
    fn who_is_not_there_is_named() {
        if cfg!(target_os = "linux") {
            let error = Processes::new(&[u32::MAX]).unwrap_err().to_string();
            assert!(error.contains("no such process"), "{error}");
            assert!(Processes::new(&[std::process::id()]).unwrap().is_some());
        }
    }
}
