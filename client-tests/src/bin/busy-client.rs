//! A client that keeps a server busy and then stays silent: `busy-client SOCKET REQUESTS IDLE_SECONDS`.
//!
//! For watching a daemon from outside, with strace for example.
#![forbid(unsafe_code)]

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use client_tests::raw::RawClient;

const CONFIG: u32 = 7;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [socket, requests, idle] = &arguments[..] else {
        bail!("usage: busy-client SOCKET REQUESTS IDLE_SECONDS");
    };
    let requests: u32 = requests.parse().context("REQUESTS is a number")?;
    let idle: u64 = idle.parse().context("IDLE_SECONDS is a number")?;
    let mut client = RawClient::attach(Path::new(socket))?;
    for _ in 0..requests {
        client.read(CONFIG, 0, 4)?;
    }
    println!("busy part over");
    std::thread::sleep(Duration::from_secs(idle));
    println!("idle part over");
    Ok(())
}
