//! The `dormouse` program from outside: what it prints, its exit codes, its sockets, its end.

#[path = "cli/answers.rs"]
mod answers;
#[path = "cli/control.rs"]
mod control;
#[path = "cli/demo.rs"]
mod demo;
#[path = "cli/guard.rs"]
mod guard;
#[path = "cli/limits.rs"]
mod limits;
#[path = "cli/logs.rs"]
mod logs;
#[path = "cli/program.rs"]
mod program;
#[path = "cli/sockets.rs"]
mod sockets;
#[path = "cli/ssdt.rs"]
mod ssdt;
#[path = "cli/takeover.rs"]
mod takeover;
#[path = "cli/units.rs"]
mod units;
