//! Options of `serve` for access control, the sandbox and limits on clients.

use std::path::PathBuf;

use crate::control::Switch;
use crate::sandbox::{Sandbox, Seccomp};
use crate::settings::{ClientLimits, Settings};
use crate::state_file::Places;
use clap::{Args, value_parser};

use super::failure::Failure;
use super::paths;

#[derive(Debug, Default, Args)]
pub struct GuardArguments {
    /// Accept connections from this user, besides root and the server's own user; repeatable
    ///
    /// Without it, the file permissions decide for sockets that the server inherits or that
    /// --socket-mode opens to others. All other sockets refuse further users.
    #[arg(long, value_name = "UID")]
    pub allow_uid: Vec<u32>,
    /// Allow `dormouse ctl save` and `restore` to use files in this folder and below; repeatable
    /// [default: none, with the sandbox off any]
    #[arg(long, value_name = "FOLDER")]
    pub state_dir: Vec<PathBuf>,
    /// Restrict file access with Landlock, as far as the kernel supports it [default: on]
    #[arg(long, value_enum, value_name = "on|off")]
    pub landlock: Option<Switch>,
    /// Filter system calls with seccomp: kill the server on an unexpected call, only log the call, or
    /// no filter [default: kill on x86-64 with glibc, else log, or none where no filter exists]
    #[arg(long, value_enum, value_name = "kill|log|none")]
    pub seccomp: Option<Seccomp>,
    /// Maximum bytes of data in a client's message, announced in VERSION; a client that ignores the
    /// announcement assumes 1048576. 4096 to 16777216 [default: 1048576]
    #[arg(long, value_name = "BYTES", value_parser = value_parser!(u32).range(4096..=16 << 20))]
    pub max_transfer: Option<u32>,
    /// Maximum file descriptors with a client's message, announced in VERSION. 1 to 16 [default: 16]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=16))]
    pub max_message_fds: Option<u32>,
    /// Unread reply and queued request bytes after which the server stops reading from a client
    /// [default: 1048576]
    #[arg(long, value_name = "BYTES")]
    pub max_pending: Option<usize>,
    /// Maximum files that all clients of a function together have mapped for DMA; one more fails
    /// with EMFILE [default: 4096]
    #[arg(long, value_name = "N")]
    pub max_dma_files: Option<usize>,
    /// Maximum bytes of client memory that all functions together map, with client-memory = "map-sealed",
    /// and no more than half of the limit on address space (ulimit -v); beyond it, the server reads and
    /// writes files [default: 1099511627776]
    #[arg(long, value_name = "BYTES")]
    pub max_dma_mapped: Option<u64>,
    /// Maximum simultaneous control clients; the server closes further connections [default: 64]
    #[arg(long, value_name = "N")]
    pub max_ctl_clients: Option<usize>,
    /// Maximum log lines per client-triggerable call site in 10 s; all of these lines together have at
    /// most 64 KiB [default: 5]
    #[arg(long, value_name = "N")]
    pub max_log_burst: Option<u32>,
}

impl GuardArguments {
    /// Returns the sandbox that the options describe.
    ///
    /// # Errors
    /// Fails if a folder of `--state-dir` does not exist.
    pub fn sandbox(&self) -> Result<Sandbox, Failure> {
        let defaults = Sandbox::default();
        let canonical = |folder: &PathBuf| {
            folder.canonicalize().map_err(|error| {
                Failure::Usage(format!("--state-dir {}: {error}", folder.display()))
            })
        };
        let state_folders = self.state_dir.iter().map(canonical);
        Ok(Sandbox {
            landlock: self.landlock.map_or(defaults.landlock, Switch::is_on),
            seccomp: self.seccomp.unwrap_or(defaults.seccomp),
            state_folders: state_folders.collect::<Result<_, _>>()?,
        })
    }

    /// Returns the folders of `--state-dir` by both of their names: resolved, and as given.
    fn state_places(&self, sandbox: &Sandbox) -> Vec<PathBuf> {
        let mut places = sandbox.state_folders.clone();
        let given = self.state_dir.iter().map(|folder| paths::absolute(folder));
        for folder in given {
            if !places.contains(&folder) {
                places.push(folder);
            }
        }
        places
    }

    /// Adds the limits to `settings`. `private`: only the owner has access to every socket.
    pub fn limit(&self, sandbox: &Sandbox, private: bool, settings: Settings) -> Settings {
        let confined = sandbox.landlock || sandbox.seccomp != Seccomp::None;
        let anywhere = !confined && sandbox.state_folders.is_empty();
        let client = settings.client;
        Settings {
            client: ClientLimits {
                transfer: self.max_transfer.unwrap_or(client.transfer),
                message_fds: (self.max_message_fds).map_or(client.message_fds, |fds| fds as usize),
                pending: self.max_pending.unwrap_or(client.pending),
            },
            allowed_uids: (private || !self.allow_uid.is_empty()).then(|| self.allow_uid.clone()),
            max_dma_files: self.max_dma_files.unwrap_or(settings.max_dma_files),
            max_dma_mapped: self.max_dma_mapped.unwrap_or(settings.max_dma_mapped),
            max_control_clients: (self.max_ctl_clients).unwrap_or(settings.max_control_clients),
            state_places: if anywhere {
                Places::Anywhere
            } else {
                Places::In(self.state_places(sandbox))
            },
            ..settings
        }
    }
}
