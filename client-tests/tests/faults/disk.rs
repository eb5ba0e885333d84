//! The disk does not take a saved device.

use anyhow::{Result, ensure};
use client_tests::raw::wire::region;

use super::bench::{Bench, Case, case};

pub fn cases() -> Vec<Case> {
    vec![
        case("the folder for a saved device is gone", |bench| {
            refused(bench, "none/saved", "No such file or directory")
        }),
        case(
            "there is a folder in the place of a saved device",
            |bench| {
                std::fs::create_dir(bench.state_file("saved"))?;
                refused(bench, "saved", "the state cannot be written")
            },
        ),
    ]
}

/// Nothing is left of it, and the device goes on.
fn refused(bench: &Bench, file: &str, why: &str) -> Result<()> {
    let mut client = bench.attach()?;
    let file = bench.state_file(file);
    let request = serde_json::json!({ "verb": "save", "file": file });
    let answer = bench.control()?.request(request);
    let error = answer.err().map(|error| error.to_string());
    let error = error.unwrap_or_default();
    ensure!(error.contains(why), "saving says {error:?}");
    ensure!(!file.with_extension("part").exists(), "half a file is left");
    client.read(region::CONFIG, 0, 4).map(drop)
}
