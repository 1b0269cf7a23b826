//! One saver at a time in a directory, among all threads and programs.
//!
//! The lock is the system's, on the directory itself (`flock`): it leaves no file behind, and it is gone with the program
//! that held it, however that ended, so that there is nothing stale to recognise. It is held only while files get their
//! names, not while they are written. Systems and file systems without such locks do without.

use crate::{CheckpointError, Result};
use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// Names are given in well under a second; one who takes longer hangs.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Holds a directory until it is dropped.
pub(crate) struct Lock {
    _directory: Option<File>,
}

impl Lock {
    /// Waits until no one else saves into `directory`.
    pub(crate) fn to_save(directory: &Path) -> Result<Self> {
        Self::wait(directory, File::try_lock).map_err(CheckpointError::save(directory, "wait for another saver"))
    }

    /// Waits until no one saves into `directory`; any number may read.
    pub(crate) fn to_read(directory: &Path) -> Result<Self> {
        Self::wait(directory, File::try_lock_shared)
            .map_err(CheckpointError::io(directory, "wait for a program that saves there"))
    }

    fn wait(directory: &Path, lock: impl Fn(&File) -> Result<(), TryLockError>) -> io::Result<Self> {
        let Ok(file) = File::open(directory) else { return Ok(Self { _directory: None }) };
        let (began, mut pause) = (Instant::now(), Duration::from_millis(1));
        loop {
            match lock(&file) {
                Ok(()) => return Ok(Self { _directory: Some(file) }),
                // No locks here.
                Err(TryLockError::Error(_)) => return Ok(Self { _directory: None }),
                Err(TryLockError::WouldBlock) if began.elapsed() > LONGEST_WAIT => {
                    let message = format!("it has not ended for {} seconds", LONGEST_WAIT.as_secs());
                    return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
                }
                Err(TryLockError::WouldBlock) => {
                    std::thread::sleep(pause);
                    pause = (2 * pause).min(Duration::from_millis(20));
                }
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn savers_wait_for_each_other_and_readers_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let try_lock =
            |lock: fn(&File) -> Result<(), TryLockError>| lock(&File::open(directory.path()).unwrap()).is_ok();
        let saver = Lock::to_save(directory.path()).unwrap();
        assert!(!try_lock(File::try_lock) && !try_lock(File::try_lock_shared));
        drop(saver);
        let _readers = [Lock::to_read(directory.path()).unwrap(), Lock::to_read(directory.path()).unwrap()];
        assert!(!try_lock(File::try_lock) && try_lock(File::try_lock_shared));
    }
}
