//! Makes the pages of docs/behaviour from the behaviour tables.

use std::fs;

use anyhow::Result;
use client_tests::table::page;

fn main() -> Result<()> {
    for name in page::PAGES {
        let path = page::path(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, page::make(name)?)?;
        println!("{}", path.display());
    }
    Ok(())
}
