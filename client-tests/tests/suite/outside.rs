//! The crates as people use them who are not in this repository.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use client_tests::outside::Project;
use client_tests::raw::{PATIENCE, RawClient};

/// A server in another program, and a client of it, without a command line.
#[test]
fn a_server_and_a_client_are_embedded_in_twenty_lines() {
    let dependencies = r#"dormouse = { path = "{root}/server", default-features = false }"#;
    let main = r#"
use std::os::unix::net::UnixStream;

use dormouse::models::model::Registry;
use dormouse::models::profile::Profile;
use dormouse::{Client, Endpoint, ServedFunction, ServedSlot, Server, Settings, client};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = Profile::builtin("nvme").ok_or("there is no profile nvme")?;
    let profile = Profile::parse("nvme", text, &[])?;
    let (ours, theirs) = UnixStream::pair()?;
    let devices = profile.device_set(&Registry::builtin())?;
    let mut server = Server::new(Settings::default())?;
    let function = ServedFunction::new("nvme", Endpoint::Connected(theirs));
    server.add(ServedSlot::new(devices).with_function(function))?;
    let server = std::thread::spawn(move || server.run());
    let mut client = Client::over(ours, client::Options::default())?;
    println!("{:04x}", client.read_u16(7, 0)?);
    drop(client);
    Ok(server.join().map_err(|_| "the server panicked")??)
}
"#;
    let project = Project::new("embedded", dependencies, &[("src/main.rs", main)]).unwrap();
    let output = Command::new(project.build().unwrap()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"144d\n");
    let tree = project.cargo(&["tree", "--edges=normal", "--prefix=none"]);
    let tree = String::from_utf8(tree.unwrap().stdout).unwrap();
    let crates: Vec<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(crates.contains(&"dormouse"), "{tree}");
    for alien in [
        "anyhow",
        "clap",
        "landlock",
        "sd-notify",
        "seccompiler",
        "signal-hook",
        "tracing-subscriber",
    ] {
        assert!(!crates.contains(&alien), "{alien}:\n{tree}");
    }
}

/// A test suite that uses the harness.
#[test]
fn a_test_uses_the_harness_in_ten_lines() {
    let dependencies = r#"dormouse = { path = "{root}/server", default-features = false }"#;
    let test = r#"
#[cfg(test)]
use dormouse::models::power::PowerState;

#[test]
fn a_write_is_read_back() -> Result<(), Box<dyn std::error::Error>> {
    let mut served = dormouse::testing::Function::profile("testdev")
        .set("host.suspend-delay-ms", "10")
        .start()?;
    let mut client = served.client()?;
    client.write_u16(7, 4, 2)?;
    client.write_u32(0, 4, 0x5afe)?;
    client.low_power_entry()?;
    served.advance(std::time::Duration::from_millis(10))?;
    assert_eq!(served.status()?.device.power_state, PowerState::D3cold);
    Ok(())
}
"#;
    let project = Project::new("suite", dependencies, &[("src/lib.rs", test)]).unwrap();
    let output = project.cargo(&["test", "--lib"]).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("1 passed"), "{text}");
}

/// A program of a model's author: the whole command line, with the model and its profile built in.
#[test]
fn an_authors_program_has_the_whole_command_line() {
    let dependencies = r#"
dormouse = { path = "{root}/server" }
pci-device-models = { path = "{root}/device-models" }
serde = { version = "1", features = ["derive"] }
"#;
    let main = r#"
use pci_device_models::model::Registry;
use pci_device_models::model::prelude::*;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Adder {
    sum: u32,
}

impl Model for Adder {
    fn read(&mut self, _: &mut Context<'_>, _: u8, _: u64, _: Lanes) -> u32 {
        self.sum
    }

    fn write(&mut self, _: &mut Context<'_>, _: u8, _: u64, write: DwordWrite) {
        self.sum = self.sum.wrapping_add(write.value());
    }

    fn reset(&mut self, _: &mut Context<'_>, _: ResetKind) {
        self.sum = 0;
    }
}

fn main() -> std::process::ExitCode {
    let mut registry = Registry::builtin();
    registry.register("adder", || Box::<Adder>::default());
    registry.register_profile("adder", include_str!("adder.toml"));
    dormouse::cli::run(registry, std::env::args_os())
}
"#;
    let profile = r#"
name = "adder"
description = "Adds what is written to it"
model = "adder"

[identity]
vendor-id = 0x1234
device-id = 0x0002
class = 0xff0000

[[bar]]
index = 0
kind = "memory32"
size = 0x1000

[capabilities.pm]
"#;
    let files = [("src/main.rs", main), ("src/adder.toml", profile)];
    let project = Project::new("adder", dependencies, &files).unwrap();
    let program = project.build().unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(&program)
            .args(arguments)
            .current_dir(project.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(run(&["profiles"]).contains("adder           Adds what is written to it\n"));
    assert_eq!(run(&["check", "src/adder.toml"]), "");
    assert!(run(&["config-space", "adder"]).contains("\n00: 34 12 02 00"));
    let wrong = Command::new(&program)
        .args(["check", "Cargo.toml"])
        .current_dir(project.path())
        .output()
        .unwrap();
    assert_eq!(wrong.status.code(), Some(3), "{wrong:?}");

    let mut server = Command::new(&program)
        .args(["serve", "--profile=adder", "--set=identity.revision=7"])
        .args(["--socket-path=device.sock", "--ctl-path=ctl.sock"])
        .current_dir(project.path())
        .spawn()
        .unwrap();
    let mut client = attach(&project.path().join("device.sock"));
    client.write(7, 4, &[2, 0]).unwrap();
    for _ in 0..2 {
        client.write(0, 0, &21_u32.to_le_bytes()).unwrap();
    }
    assert_eq!(client.read(0, 0, 4).unwrap(), 42_u32.to_le_bytes());
    let status = run(&["ctl", "--ctl-path=ctl.sock", "status"]);
    assert!(status.contains("power_state: D0"), "{status}");
    // seccomp's mode 2 is a filter, which the sandbox has put up.
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    assert!(status.contains("Seccomp:\t2"), "{status}");
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    run(&["ctl", "--ctl-path=ctl.sock", "shutdown"]);
    assert!(server.wait().unwrap().success());
}

/// The project that `docs/device-authors.md` builds: its tests pass, and it is served.
#[test]
fn the_project_of_the_guide_is_tested_and_served() {
    const GUIDE: &str = include_str!("../../../docs/device-authors.md");
    let (_, section) = GUIDE
        .split_once("## A model in a project of your own\n")
        .unwrap();
    // The first block after a file's name is the file.
    let block = |name: &str| {
        let (_, rest) = section.split_once(&format!("`{name}`")).unwrap();
        let (_, rest) = rest.split_once("```").unwrap();
        let (_, rest) = rest.split_once('\n').unwrap();
        rest.split("```").next().unwrap()
    };
    let dependencies = block("Cargo.toml").replace("../dormouse", "{root}");
    let dependencies = dependencies.replace("[dependencies]\n", "");
    let files = [
        "src/alarm-clock.toml",
        "src/alarm_clock.rs",
        "src/alarm_clock/tests.rs",
        "src/main.rs",
    ]
    .map(|name| (name, block(name)));
    let project = Project::new("alarm-clock", &dependencies, &files).unwrap();
    let output = project.cargo(&["test"]).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("4 passed"), "{text}");

    let program = project.build().unwrap();
    let run = |line: &str| {
        let mut command = Command::new(&program);
        command.args(line.split(' ')).current_dir(project.path());
        command
    };
    // The commands of the guide, as the program is run after `cargo run --`.
    let (_, serving) = section.split_once("### Serving it").unwrap();
    let commands = serving
        .lines()
        .filter_map(|line| line.strip_prefix("cargo run -- "));
    let [check, serve] = commands.collect::<Vec<_>>()[..] else {
        panic!("the guide checks and serves");
    };
    assert!(run(check).status().unwrap().success());
    let mut server = run(serve).spawn().unwrap();
    let mut client = attach(&project.path().join("alarm-clock.sock"));
    client.write(7, 4, &[2, 0]).unwrap();
    client.write(0, 0, &1_u32.to_le_bytes()).unwrap();
    let start = Instant::now();
    while client.read(0, 0x10, 4).unwrap() != 1_u32.to_le_bytes() {
        assert!(start.elapsed() < PATIENCE, "the alarm does not go off");
    }
    client.write(0, 0, &60_000_u32.to_le_bytes()).unwrap();
    client.write(0, 0, &60_000_u32.to_le_bytes()).unwrap();
    let asked = run("ctl --ctl-path alarm-clock.ctl violations").output();
    let violations = String::from_utf8(asked.unwrap().stdout).unwrap();
    assert!(
        violations.contains("model.alarm-running: 1"),
        "{violations}"
    );
    let ended = run("ctl --ctl-path alarm-clock.ctl shutdown").status();
    assert!(ended.unwrap().success());
    assert!(server.wait().unwrap().success());
}

/// Connects a client as soon as the server is there.
fn attach(socket: &Path) -> RawClient {
    let start = Instant::now();
    loop {
        if let Ok(client) = RawClient::attach(socket) {
            return client;
        }
        assert!(start.elapsed() < PATIENCE, "no server");
    }
}
