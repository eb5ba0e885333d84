//! Turns the register tables of the models into Rust: see `src/register/table.rs`.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

#[path = "src/register/table.rs"]
mod table;

/// What is made in `OUT_DIR`, and of which table: each a module `registers`.
const TABLES: [(&str, &str); 7] = [
    ("smbus.rs", "src/model/smbus/registers.toml"),
    ("designware.rs", "src/model/designware/registers.toml"),
    ("ioat_global.rs", "src/model/ioat/global.toml"),
    ("ioat_channel.rs", "src/model/ioat/channel.toml"),
    ("serial.rs", "src/model/serial/registers.toml"),
    ("testdev.rs", "src/model/testdev/registers.toml"),
    ("step_by_step.rs", "examples/step_by_step.toml"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for (name, path) in TABLES {
        println!("cargo::rerun-if-changed={path}");
        let rust = table::rust("registers", &fs::read_to_string(path)?);
        fs::write(
            out.join(name),
            rust.map_err(|error| format!("{path}: {error}"))?,
        )?;
    }
    Ok(())
}
