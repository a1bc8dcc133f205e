//! What the kernel knows of a process: processor time and memory.

use std::fs;
use std::time::Duration;

use anyhow::Context;

/// Ticks of `/proc/<pid>/stat` in a second, on every Linux.
const TICKS: u64 = 100;

/// Processor time of a process so far, in user and kernel mode together.
///
/// # Errors
/// When the process is gone.
pub fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let fields = stat(pid)?;
    let ticks = |n: usize| -> anyhow::Result<u64> {
        Ok(fields.get(n).context("a short stat line")?.parse()?)
    };
    // utime and stime are fields 14 and 15 of proc(5); the first two were cut off.
    Ok(Duration::from_millis(
        (ticks(11)? + ticks(12)?) * 1000 / TICKS,
    ))
}

/// Processor time of a process and of all its children, those that ended included.
///
/// # Errors
/// When the process is gone.
pub fn cpu_of_family(pid: u32) -> anyhow::Result<Duration> {
    let fields = stat(pid)?;
    // cutime and cstime: 16 and 17.
    let ended: u64 = fields[13].parse::<u64>()? + fields[14].parse::<u64>()?;
    let mut sum = cpu(pid)? + Duration::from_millis(ended * 1000 / TICKS);
    for child in children(pid)? {
        // One that ends meanwhile is counted with its parent next time.
        sum += cpu(child).unwrap_or_default();
    }
    Ok(sum)
}

/// Memory of a process and of its children in bytes, what they share counted once.
///
/// # Errors
/// When the process is gone.
pub fn memory_of_family(pid: u32) -> anyhow::Result<u64> {
    let share = |pid: u32| -> anyhow::Result<u64> {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = text.lines().find_map(|l| l.strip_prefix("Pss:"));
        let number = line.and_then(|l| l.split_whitespace().next());
        Ok(number.context("no Pss")?.parse::<u64>()? * 1024)
    };
    let mut sum = share(pid)?;
    for child in children(pid)? {
        sum += share(child).unwrap_or(0);
    }
    Ok(sum)
}

fn children(pid: u32) -> anyhow::Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        // One that is gone by now is no child any more.
        let parent = stat(child).ok().and_then(|f| f.get(1)?.parse::<u32>().ok());
        if parent == Some(pid) {
            found.push(child);
        }
    }
    Ok(found)
}

/// Fields of the stat line after the program's name, which may hold blanks.
fn stat(pid: u32) -> anyhow::Result<Vec<String>> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after = line
        .rsplit_once(") ")
        .context("a stat line without a name")?
        .1;
    Ok(after.split_whitespace().map(str::to_owned).collect())
}

/// Memory of a process, bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// In use now.
    pub resident: u64,
    /// The most it ever was.
    pub peak: u64,
}

/// Memory of a process.
///
/// # Errors
/// When the process is gone.
pub fn memory(pid: u32) -> anyhow::Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = |name: &str| -> anyhow::Result<u64> {
        let line = text.lines().find_map(|l| l.strip_prefix(name));
        let number = line.and_then(|l| l.split_whitespace().next());
        Ok(number
            .with_context(|| format!("no {name}"))?
            .parse::<u64>()?
            * 1024)
    };
    Ok(Memory {
        resident: kib("VmRSS:")?,
        peak: kib("VmHWM:")?,
    })
}

/// Files and sockets that a process has open.
///
/// # Errors
/// When the process is gone.
pub fn open_files(pid: u32) -> anyhow::Result<u64> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_files() {
        let me = std::process::id();
        let memory = memory(me).unwrap();
        assert!(memory.resident > 0 && memory.peak >= memory.resident);
        assert!(open_files(me).unwrap() >= 3);
        // Read first: it only grows, also between two lines of a test.
        let alone = cpu(me).unwrap();
        assert!(cpu_of_family(me).unwrap() >= alone);
        assert!(memory_of_family(me).unwrap() > 0);
    }
}
