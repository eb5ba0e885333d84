//! Options of `serve` that say what a server keeps from clients, and from itself.

use std::path::PathBuf;

use crate::control::switch::Switch;
use crate::sandbox::{Sandbox, Seccomp};
use crate::settings::{ClientLimits, Settings};
use crate::state_file::Places;
use clap::{Args, value_parser};

use super::failure::Failure;

#[derive(Debug, Default, Args)]
pub struct GuardArguments {
    /// Let processes of this user connect, besides root's and the server's own; repeatable
    ///
    /// Without it nobody else may connect, unless --socket-mode or whoever passed a socket says so.
    #[arg(long, value_name = "UID")]
    pub allow_uid: Vec<u32>,
    /// Let `dormouse ctl save` and `restore` use files in this folder and below; repeatable
    #[arg(long, value_name = "FOLDER")]
    pub state_dir: Vec<PathBuf>,
    /// Have the kernel keep the server from all other files, as far as it can [default: on]
    #[arg(long, value_enum, value_name = "on|off")]
    pub landlock: Option<Switch>,
    /// What becomes of system calls that the server does not need: they end it, are logged, or
    /// nothing [default: kill where that is known to be safe, see the documentation]
    #[arg(long, value_enum, value_name = "kill|log|none")]
    pub seccomp: Option<Seccomp>,
    /// Most bytes of data in a message of a client, which VERSION tells those that ask; others rely on
    /// 1 MiB [default: 1048576]
    #[arg(long, value_name = "BYTES", value_parser = value_parser!(u32).range(4096..=16 << 20))]
    pub max_transfer: Option<u32>,
    /// Most file descriptors with a message of a client, which VERSION tells those that ask [default: 16]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=16))]
    pub max_message_fds: Option<u32>,
    /// Most bytes of replies that a client does not read, and of requests that it sends behind one
    /// whose reply is held back, before it is not listened to [default: 1048576]
    #[arg(long, value_name = "BYTES")]
    pub max_pending: Option<usize>,
    /// Most files that the clients of a function may have mapped for DMA at a time
    #[arg(long, value_name = "N")]
    pub max_dma_files: Option<usize>,
    /// Most control clients at a time
    #[arg(long, value_name = "N")]
    pub max_ctl_clients: Option<usize>,
    /// Most lines that one place which clients can make log writes in ten seconds [default: 5]
    #[arg(long, value_name = "N")]
    pub max_log_burst: Option<u32>,
}

impl GuardArguments {
    /// The sandbox asked for. `socket_folders` are those of the sockets to be removed at the end.
    ///
    /// # Errors
    /// A folder for states does not exist.
    pub fn sandbox(&self, socket_folders: Vec<PathBuf>) -> Result<Sandbox, Failure> {
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
            socket_folders,
            state_folders: state_folders.collect::<Result<_, _>>()?,
        })
    }

    /// Adds the limits to `settings`. `private`: all sockets are made for their owner alone.
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
            max_control_clients: (self.max_ctl_clients).unwrap_or(settings.max_control_clients),
            state_places: if anywhere {
                Places::Anywhere
            } else {
                Places::In(sandbox.state_folders.clone())
            },
            ..settings
        }
    }
}
