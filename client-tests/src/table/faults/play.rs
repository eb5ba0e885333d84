//! The runs of a row, and the comparison of what came in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pci_device_models::fault::Fault;
use serde_json::Value;

use super::program::Program;
use crate::control::Control;
use crate::daemon::{Daemon, Spec};
use crate::table::bench::Function;
use crate::table::step::{Of, Step};

/// The time on the clock of the server that restores, for its ticks to be other ones.
const OTHER_ORIGIN: &str = "7s";

/// A row to be played.
pub(super) struct Play {
    pub(super) spec: Spec,
    pub(super) fault: Fault,
    /// The steps with their texts.
    pub(super) steps: Vec<(String, Step)>,
    /// Connecting takes time of the clock.
    pub(super) takes_time: bool,
}

/// A program with its first arguments.
type Command<'a> = (&'a Path, &'a [&'a str]);

/// The way in which the fault is set.
#[derive(Clone, Copy)]
enum Way<'a> {
    Profile,
    ControlSocket,
    CommandLine(Command<'a>),
    /// In the profile; in the middle, another server restores the device.
    Restored,
}

/// All that came in a run.
#[derive(Debug, Default)]
struct Transcript {
    /// Answers to each step.
    answers: Vec<(String, Vec<String>)>,
    /// Events with their ticks.
    events: Vec<Value>,
    /// Ticks of the fault's strikes.
    strikes: Vec<Duration>,
    /// The faults at the end, without their times.
    faults: Value,
}

impl Play {
    /// Plays the row in all ways, and compares.
    pub(super) fn in_all_ways(
        &self,
        strikes: &[Duration],
        program: Option<Command<'_>>,
    ) -> Result<()> {
        let first = self.once(Way::Profile).context("fault in the profile")?;
        ensure!(
            first.strikes == strikes,
            "it strikes at {:?}; `at` has {strikes:?}",
            first.strikes
        );
        let ways = [
            (Way::Profile, "fault in the profile, once more"),
            (Way::ControlSocket, "fault set at the control socket"),
            (Way::ControlSocket, "fault set at the control socket again"),
            (Way::Restored, "saved and restored in the middle"),
        ];
        let program =
            program.map(|program| (Way::CommandLine(program), "fault on the command line"));
        for (way, name) in ways.into_iter().chain(program) {
            let other = self.once(way).context(name)?;
            other.expect_same(&first).context(name)?;
        }
        Ok(())
    }

    fn once(&self, way: Way<'_>) -> Result<Transcript> {
        let mut run = Run::start(self, way)?;
        for (text, step) in &self.steps {
            run.carry_out(self, way, text, step)
                .with_context(|| format!("step `{text}`"))?;
        }
        run.end()
    }
}

/// A server of a run.
#[derive(Debug)]
enum Served {
    Here(Daemon),
    Elsewhere(Program),
}

impl Served {
    fn socket(&self, index: usize) -> PathBuf {
        match self {
            Self::Here(daemon) => daemon.socket(index),
            Self::Elsewhere(program) => program.socket(index),
        }
    }

    fn control(&self, index: usize) -> Result<Control> {
        match self {
            Self::Here(daemon) => daemon.control(index),
            Self::Elsewhere(program) => program.control(index),
        }
    }
}

/// A run in progress.
#[derive(Debug)]
struct Run {
    functions: Vec<Function>,
    watch: Watch,
    transcript: Transcript,
    // After the clients: they are gone before the server is.
    served: Served,
}

impl Run {
    fn start(play: &Play, way: Way<'_>) -> Result<Self> {
        let Play { spec, fault, .. } = play;
        let (when, what) = (fault.when.to_string(), fault.what.to_string());
        let served = match way {
            Way::Profile | Way::Restored => {
                Served::Here(Daemon::start(&[spec.clone().with_fault(&when, &what)?])?)
            }
            Way::ControlSocket => {
                let daemon = Daemon::start(std::slice::from_ref(spec))?;
                let mut control = daemon.control(0)?;
                let (when, what) = (format!("--when={when}"), format!("--what={what}"));
                control.command(&["fault", "add", &when, &what])?;
                Served::Here(daemon)
            }
            Way::CommandLine(program) => Served::Elsewhere(Program::start(program, spec, fault)?),
        };
        let mut transcript = Transcript::default();
        let mut watch = Watch::over(served.control(0)?, 0)?;
        // What struck at once struck before it could be watched.
        let faults = watch.control.command(&["fault", "list"])?;
        if let Some(nanos) = faults["faults"][0]["last_nanos"].as_u64() {
            transcript.strikes.push(Duration::from_nanos(nanos));
        }
        let attach = |index| {
            Function::attach(
                served.socket(index),
                served.control(index)?,
                play.takes_time,
            )
        };
        let functions = (0..spec.functions()).map(attach);
        Ok(Self {
            functions: functions.collect::<Result<_>>()?,
            watch,
            transcript,
            served,
        })
    }

    fn carry_out(&mut self, play: &Play, way: Way<'_>, text: &str, step: &Step) -> Result<()> {
        if step.restores() {
            return match way {
                Way::Restored => self.restore(&play.spec),
                _ => Ok(()),
            };
        }
        let function = match step.of {
            Of::Function(index) => self.functions.get_mut(index),
            Of::Controller => None,
        };
        let function = function.context("there is no such function")?;
        let outcome = function.carry_out_step(step);
        let heard = function.take_heard();
        self.transcript.answers.push((text.to_owned(), heard));
        outcome
    }

    /// Saves the device, and goes on with another server that restores it.
    fn restore(&mut self, spec: &Spec) -> Result<()> {
        let Served::Here(before) = &self.served else {
            return Ok(());
        };
        let faults = self.watch.control.command(&["fault", "list"])?;
        let struck = faults["faults"][0]["struck"].as_u64();
        ensure!(
            struck.is_some_and(|struck| struck > 0),
            "the fault has not struck yet, so a restore shows nothing; `restore` later: {faults}"
        );
        let file = before.state_file("state");
        let path = file.to_str().context("the folder is no UTF-8")?;
        self.watch.control.command(&["save", path])?;
        let saved_at = self.watch.now()?;
        self.watch.collect(&mut self.transcript)?;

        let after = Daemon::start(std::slice::from_ref(spec))?;
        let place = after.state_file("state");
        fs::copy(&file, &place)?;
        let mut control = after.control(0)?;
        control.command(&["clock", "advance", OTHER_ORIGIN])?;
        let path = place.to_str().context("the folder is no UTF-8")?;
        control.command(&["restore", path])?;
        let now = nanos(&mut control)?;
        self.watch = Watch::over(control, saved_at - now)?;
        for (index, function) in self.functions.iter_mut().enumerate() {
            function.go_on_at(after.socket(index), after.control(index)?)?;
        }
        // The server before ends once nothing uses it.
        self.served = Served::Here(after);
        Ok(())
    }

    fn end(mut self) -> Result<Transcript> {
        self.watch.collect(&mut self.transcript)?;
        let mut faults = self.watch.control.command(&["fault", "list"])?;
        let list = faults["faults"].as_array_mut();
        for fault in list.context("there is no list of faults")? {
            fault["last_nanos"].take();
        }
        self.transcript.faults = faults;
        Ok(self.transcript)
    }
}

/// A connection that collects the events of the function that has the fault.
#[derive(Debug)]
struct Watch {
    control: Control,
    /// Nanoseconds from the origin of the server's clock to that of the first server.
    offset: i64,
}

impl Watch {
    fn over(mut control: Control, offset: i64) -> Result<Self> {
        control.command(&["subscribe"])?;
        Ok(Self { control, offset })
    }

    /// Returns the time on the clock of the first server.
    fn now(&mut self) -> Result<i64> {
        Ok(nanos(&mut self.control)? + self.offset)
    }

    fn collect(&mut self, transcript: &mut Transcript) -> Result<()> {
        for mut event in self.control.events()? {
            let nanos = event["nanos"].as_i64().context("an event has no time")? + self.offset;
            event["nanos"] = nanos.into();
            if event["event"] == "fault" {
                let strike = u64::try_from(nanos).context("a strike before the start")?;
                transcript.strikes.push(Duration::from_nanos(strike));
            }
            transcript.events.push(event);
        }
        Ok(())
    }
}

/// Returns the time on a server's clock.
fn nanos(control: &mut Control) -> Result<i64> {
    let status = control.command(&["status"])?;
    status["nanos"].as_i64().context("status has no time")
}

impl Transcript {
    /// Checks that another run brought the same.
    fn expect_same(&self, other: &Self) -> Result<()> {
        for ((step, here), (_, there)) in self.answers.iter().zip(&other.answers) {
            ensure!(
                here == there,
                "step `{step}` brings {here:?}; in the first run it brought {there:?}"
            );
        }
        for (here, there) in self.events.iter().zip(&other.events) {
            ensure!(
                here == there,
                "{here} came; in the first run {there} came then"
            );
        }
        let (here, there) = (self.events.len(), other.events.len());
        ensure!(
            here == there,
            "{here} events came; in the first run {there} came"
        );
        let (here, there) = (&self.strikes, &other.strikes);
        ensure!(
            here == there,
            "it strikes at {here:?}; in the first run it struck at {there:?}"
        );
        let (here, there) = (&self.faults, &other.faults);
        ensure!(
            here == there,
            "the faults are {here}; in the first run they were {there}"
        );
        Ok(())
    }
}
