//! The folder with the sockets of a server.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, process};

use super::TestingError;

/// A folder for its owner alone, which is removed with everything in it when this is dropped.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Result<Self, TestingError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = env::temp_dir().join(format!("dormouse-{}-{number}", process::id()));
            let mut builder = DirBuilder::new();
            builder.mode(0o700);
            let made = builder.create(&path);
            let source = match made {
                Ok(()) => {
                    let folder = Self(path);
                    match builder.create(folder.states()) {
                        Ok(()) => return Ok(folder),
                        Err(source) => source,
                    }
                }
                // Left behind by a process that had the same number.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                Err(source) => source,
            };
            return Err(TestingError::Io {
                path: env::temp_dir(),
                source,
            });
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The folder for files with saved states.
    pub(super) fn states(&self) -> PathBuf {
        self.0.join("states")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::debug!(%error, folder = %self.0.display(), "the folder is left behind");
        }
    }
}
