//! The `dormouse` program from outside: what it prints, its exit codes, its sockets, its end.

mod answers;
mod card;
mod control;
mod demo;
mod faults;
mod guard;
mod limits;
mod logs;
mod program;
mod sockets;
mod ssdt;
mod survival;
mod takeover;
mod units;
