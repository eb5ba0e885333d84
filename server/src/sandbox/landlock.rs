//! Rules about files and, where the kernel knows how, about sockets and signals.

use std::fmt;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};

use super::{Sandbox, SandboxError};

/// The version of Landlock whose rules are applied as far as the kernel supports them.
const KNOWN: ABI = ABI::V9;

/// The extent to which Landlock is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LandlockLevel {
    /// Not in force: the settings disable it.
    Off,
    /// Not in force: the kernel has no Landlock, or it was disabled at boot.
    Missing,
    /// As much as this version of the kernel's interface knows.
    Abi(i32),
}

impl fmt::Display for LandlockLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Missing => f.write_str("missing in this kernel"),
            Self::Abi(version) => write!(f, "ABI {version}"),
        }
    }
}

/// Forbids all that Landlock knows to forbid, but for the folders of `sandbox`.
pub(super) fn restrict(sandbox: &Sandbox) -> Result<LandlockLevel, SandboxError> {
    let failed = |error: landlock::RulesetError| SandboxError::Landlock(error.to_string());
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(KNOWN)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(KNOWN)))
        .and_then(Ruleset::create)
        .map_err(failed)?;
    let rules = (sandbox.socket_folders.iter())
        .map(|folder| beneath(folder, AccessFs::RemoveFile.into()))
        .chain((sandbox.state_folders.iter()).map(|folder| beneath(folder, save_and_restore())));
    let status = rules
        .into_iter()
        .try_fold(ruleset, |ruleset, rule| {
            ruleset.add_rule(rule?).map_err(failed)
        })?
        .restrict_self()
        .map_err(failed)?;
    Ok(match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _) => LandlockLevel::Missing,
        (_, LandlockStatus::Available { effective_abi, .. }) => {
            LandlockLevel::Abi(effective_abi as i32)
        }
        (_, _) => LandlockLevel::Missing,
    })
}

/// Returns the rights for saving and restoring a state: a save writes a file beside the one that it
/// replaces.
fn save_and_restore() -> BitFlags<AccessFs> {
    AccessFs::ReadFile
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::RemoveFile
}

fn beneath(
    folder: &PathBuf,
    access: BitFlags<AccessFs>,
) -> Result<PathBeneath<PathFd>, SandboxError> {
    // The parent of a bare file name is empty and means the current folder.
    let path = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let fd = PathFd::new(path).map_err(|error| SandboxError::Folder {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(PathBeneath::new(fd, access))
}
