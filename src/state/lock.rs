//! The lease: one writer at a time, even when the last one was killed.
//!
//! A lease names its owner (host, process, and when that process started), when it expires, and a fencing number that
//! only grows. Where the owner's process is gone, the same host takes over at once; another host waits for the expiry
//! or for `tubectl unlock`. Nothing releases a lease in `Drop`: a killed process would not either.

use std::time::Duration;

use camino::Utf8Path;
use camino::Utf8PathBuf;
use fs_err as fs;
use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use thiserror::Error;

use crate::error::Hint;
use crate::state::store::write_whole;

/// How long a lease lasts without a heartbeat.
pub const LASTS: Duration = Duration::from_secs(120);

/// Who holds a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The host's name.
    pub host: String,
    /// The process.
    pub process: u32,
    /// When the process started, so that a number used again is not taken for it; none where the system does not tell.
    pub started: Option<u64>,
    /// The command that it runs.
    pub command: String,
}

/// What the lease file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Who holds it.
    pub owner: Owner,
    /// Until when, unless it is renewed.
    pub expires: Timestamp,
    /// Grows with every holder.
    pub fence: u64,
}

/// A lease that this process holds.
#[derive(Debug)]
pub struct Held {
    path: Utf8PathBuf,
    lease: Lease,
    from: Option<Owner>,
}

/// The number of a lease that is held, for those who must stop when it is taken over.
#[derive(Clone, Debug)]
pub struct Fence {
    path: Utf8PathBuf,
    number: u64,
}

impl Fence {
    /// Looks whether the lease is still the same.
    pub fn check(&self) -> Result<(), LockError> {
        match read(&self.path)? {
            Some(lease) if lease.is_held_by(self.number) => Ok(()),
            _ => Err(LockError::Fenced),
        }
    }
}

/// Why a lease cannot be had.
#[derive(Debug, Error)]
pub enum LockError {
    /// Somebody else holds it.
    #[error(
        "`{}` (process {} on {}) holds the stack until {}",
        .0.owner.command, .0.owner.process, .0.owner.host, .0.expires.strftime("%H:%M:%S UTC")
    )]
    Taken(Box<Lease>),
    /// Somebody took it over in between.
    #[error("another process took the stack over; nothing more is done here")]
    Fenced,
    /// The file does not say what a lease says: a newer tubectl may have written it.
    #[error("{path} cannot be read: nobody can tell who holds the stack")]
    Unreadable {
        /// Which.
        path: Utf8PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The file cannot be used.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: Utf8PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Hint for LockError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::Taken(_) => vec![
                "wait for it to end; if its machine is gone, `tubectl unlock` shows whose it is and takes it off"
                    .to_owned(),
            ],
            Self::Fenced => vec!["see what the other process does: `tubectl status`".to_owned()],
            Self::Unreadable { .. } => {
                vec!["make sure that nobody changes the stack, and take the lease off: `tubectl unlock`".to_owned()]
            }
            Self::File { .. } => {
                vec!["make the folder writable and see that the disk has room, then run it again".to_owned()]
            }
        }
    }
}

impl Owner {
    /// This process.
    pub fn this_process(command: &str) -> Self {
        let process = std::process::id();
        Self {
            host: host_name(),
            process,
            started: process_start(process),
            command: command.to_owned(),
        }
    }

    /// Whether it is certain that the owner no longer runs: only its own host can tell.
    fn is_gone(&self, host: &str) -> bool {
        self.host == host && self.started.is_some() && process_start(self.process) != self.started
    }
}

/// Takes the lease, or takes it over from an owner that is gone or expired.
pub fn acquire(path: &Utf8Path, owner: Owner, now: Timestamp) -> Result<Held, LockError> {
    let fail = |source| LockError::File {
        path: path.to_owned(),
        source,
    };
    let _guard = guard(path).map_err(fail)?;
    let current = read(path)?;
    let (fence, from) = match current {
        Some(lease) if lease.expires > now && !lease.owner.is_gone(&owner.host) && lease.owner != owner => {
            return Err(LockError::Taken(Box::new(lease)));
        }
        Some(lease) => (lease.fence + 1, lease.is_held().then_some(lease.owner)),
        None => (1, None),
    };
    let held = Held {
        path: path.to_owned(),
        lease: Lease {
            owner,
            expires: after(now),
            fence,
        },
        from,
    };
    held.lease.write(path).map_err(fail)?;
    Ok(held)
}

/// What the lease file says, if there is one.
pub fn read(path: &Utf8Path) -> Result<Option<Lease>, LockError> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|source| LockError::File {
            path: path.to_owned(),
            source,
        })?,
    };
    let lease = serde_json::from_slice(&text).map_err(|source| LockError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    Ok(Some(lease))
}

/// Takes somebody's lease off; gives what it said. One that cannot be read goes with its file.
pub fn unlock(path: &Utf8Path) -> Result<Option<Lease>, LockError> {
    let fail = |source| LockError::File {
        path: path.to_owned(),
        source,
    };
    let _guard = guard(path).map_err(fail)?;
    let mut lease = match read(path) {
        Ok(Some(lease)) => lease,
        Err(LockError::Unreadable { .. }) => return fs::remove_file(path).map(|()| None).map_err(fail),
        Ok(None) => return Ok(None),
        Err(error) => return Err(error),
    };
    let taken_off = lease.clone();
    // The fencing number must go on growing, so the file stays.
    lease.expires = Timestamp::UNIX_EPOCH;
    lease.write(path).map_err(fail)?;
    Ok(taken_off.is_held().then_some(taken_off))
}

impl Lease {
    /// Whether nobody gave it back or took it off.
    pub fn is_held(&self) -> bool {
        self.expires > Timestamp::UNIX_EPOCH
    }

    /// Whether it is still that of the holder with this number.
    fn is_held_by(&self, fence: u64) -> bool {
        self.fence == fence && self.is_held()
    }

    fn write(&self, path: &Utf8Path) -> std::io::Result<()> {
        write_whole(path, &serde_json::to_string(self).expect("a lease is plain data"))
    }
}

impl Held {
    /// The number that only grows from holder to holder.
    pub fn fence(&self) -> Fence {
        Fence {
            path: self.path.clone(),
            number: self.lease.fence,
        }
    }

    /// Who ended without giving it back.
    pub fn taken_from(&self) -> Option<&Owner> {
        self.from.as_ref()
    }

    /// Says that this process is still there.
    pub fn renew(&mut self, now: Timestamp) -> Result<(), LockError> {
        let path = self.path.clone();
        let fail = |source| LockError::File {
            path: path.clone(),
            source,
        };
        let _guard = guard(&path).map_err(fail)?;
        self.fence().check()?;
        self.lease.expires = after(now);
        self.lease.write(&path).map_err(fail)
    }

    /// Gives the lease back at the end of a command.
    pub fn release(mut self) -> Result<(), LockError> {
        let path = self.path.clone();
        let fail = |source| LockError::File {
            path: path.clone(),
            source,
        };
        let _guard = guard(&path).map_err(fail)?;
        if read(&path)?.is_some_and(|lease| lease.is_held_by(self.lease.fence)) {
            self.lease.expires = Timestamp::UNIX_EPOCH;
            self.lease.write(&path).map_err(fail)?;
        }
        Ok(())
    }
}

/// Keeps others from reading and writing the lease file between our reading and writing.
fn guard(path: &Utf8Path) -> std::io::Result<std::fs::File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path.with_extension("guard"))?;
    let (file, _) = file.into_parts();
    file.lock()?;
    Ok(file)
}

fn after(now: Timestamp) -> Timestamp {
    let lasts = SignedDuration::try_from(LASTS).expect("two minutes fit");
    now.checked_add(lasts).unwrap_or(Timestamp::MAX)
}

fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| fs::read_to_string("/etc/hostname"));
    name.map_or_else(|_| "localhost".to_owned(), |name| name.trim().to_owned())
}

/// When a process started, in the kernel's ticks; none when there is no such process or the system does not tell.
fn process_start(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is the command in parentheses and may hold anything; the start is the 20th after it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn lease(&self) -> Utf8PathBuf {
            Utf8Path::from_path(self.0.path()).unwrap().join("lease.json")
        }
    }

    fn folder() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn elsewhere() -> Owner {
        Owner {
            host: "elsewhere".to_owned(),
            process: 1,
            started: Some(1),
            command: "tubectl up".to_owned(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_second_writer_is_told_who_the_first_is() {
        let folder = folder();
        acquire(&folder.lease(), elsewhere(), at(0)).unwrap();
        let error = acquire(&folder.lease(), Owner::this_process("tubectl down"), at(60)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`tubectl up` (process 1 on elsewhere) holds the stack until 00:02:00 UTC"
        );
    }

    #[test]
    fn another_host_waits_for_the_expiry() {
        let folder = folder();
        acquire(&folder.lease(), elsewhere(), at(0)).unwrap();
        let held = acquire(&folder.lease(), Owner::this_process("tubectl down"), at(121)).unwrap();
        assert_eq!(held.lease.fence, 2);
    }

    #[test]
    fn the_same_host_takes_over_from_a_process_that_is_gone() {
        let folder = folder();
        let mut dead = Owner::this_process("tubectl up");
        dead.started = dead.started.map(|started| started + 1);
        acquire(&folder.lease(), dead.clone(), at(0)).unwrap();
        let held = acquire(&folder.lease(), Owner::this_process("tubectl up"), at(1)).unwrap();
        assert_eq!(held.taken_from(), Some(&dead));
    }

    #[test]
    fn whoever_was_taken_over_from_cannot_renew() {
        let folder = folder();
        let mut first = acquire(&folder.lease(), elsewhere(), at(0)).unwrap();
        acquire(&folder.lease(), Owner::this_process("tubectl up"), at(500)).unwrap();
        assert!(matches!(first.renew(at(501)), Err(LockError::Fenced)));
    }

    #[test]
    fn unlocking_says_whose_it_was_and_frees_it() {
        let folder = folder();
        acquire(&folder.lease(), elsewhere(), at(0)).unwrap();
        assert_eq!(unlock(&folder.lease()).unwrap().unwrap().owner, elsewhere());
        assert_eq!(unlock(&folder.lease()).unwrap(), None);
        assert_eq!(
            acquire(&folder.lease(), Owner::this_process("tubectl up"), at(1))
                .unwrap()
                .lease
                .fence,
            2
        );
    }

    #[test]
    fn where_nobody_can_tell_whether_a_process_lives_it_is_not_taken_over_from() {
        let folder = folder();
        let mut unknown = Owner::this_process("tubectl up");
        (unknown.process, unknown.started) = (u32::MAX, None);
        acquire(&folder.lease(), unknown, at(0)).unwrap();
        let error = acquire(&folder.lease(), Owner::this_process("tubectl down"), at(60)).unwrap_err();
        assert!(matches!(error, LockError::Taken(_)), "{error}");
    }

    #[test]
    fn a_lease_that_cannot_be_read_is_somebodys_until_it_is_taken_off() {
        let folder = folder();
        fs::write(folder.lease(), r#"{"owner": "a newer kind of owner", "fence": 7}"#).unwrap();
        let acquire = || acquire(&folder.lease(), Owner::this_process("tubectl up"), at(0));
        let error = acquire().unwrap_err();
        assert!(matches!(error, LockError::Unreadable { .. }), "{error}");
        assert!(error.hints()[0].contains("tubectl unlock"), "{error}");
        assert_eq!(unlock(&folder.lease()).unwrap(), None);
        acquire().unwrap();
    }

    #[test]
    fn a_released_lease_is_free() {
        let folder = folder();
        acquire(&folder.lease(), elsewhere(), at(0)).unwrap().release().unwrap();
        let held = acquire(&folder.lease(), Owner::this_process("tubectl up"), at(1)).unwrap();
        assert_eq!(held.taken_from(), None);
    }
}
