//! The disk is full, or is none.

use std::os::unix::fs::symlink;

use anyhow::{Result, ensure};
use client_tests::raw::wire::region;

use super::bench::{Bench, Case, case};

pub fn cases() -> Vec<Case> {
    vec![
        case("the disk is full when a device is saved", full),
        case("the folder for a saved device is gone", gone),
    ]
}

/// Where the server writes until the file is complete, no byte finds room.
fn full(bench: &Bench) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("saved");
    symlink("/dev/full", folder.path().join("saved.part"))?;
    let mut client = bench.attach()?;
    refused(
        bench,
        &file.display().to_string(),
        "No space left on device",
    )?;
    ensure!(!file.exists(), "half a file has the name");
    let left = std::fs::read_dir(folder.path())?.count();
    ensure!(left == 0, "{left} files are left");
    client.read(region::CONFIG, 0, 4).map(drop)
}

fn gone(bench: &Bench) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("none/saved");
    refused(
        bench,
        &file.display().to_string(),
        "No such file or directory",
    )
}

fn refused(bench: &Bench, file: &str, why: &str) -> Result<()> {
    let request = serde_json::json!({ "verb": "save", "file": file });
    let answer = bench.control()?.request(request);
    let error = answer.err().map(|error| error.to_string());
    let error = error.unwrap_or_default();
    ensure!(error.contains(why), "saving says {error:?}");
    Ok(())
}
