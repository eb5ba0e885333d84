//! The walk of a card: a display function and its audio function, which share power.

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::PATIENCE;
use super::stage::Stage;
use crate::Client;
use crate::control::host::HostAccess;
use crate::control::{ControlClient, Verb};

/// The functions of the card.
const DISPLAY: usize = 0;
const AUDIO: usize = 1;

/// Between two steps.
const PAUSE: Duration = Duration::from_millis(10);

/// Walks the card to D3cold and back and returns a table of what happened.
pub fn walk(stage: &Stage) -> anyhow::Result<String> {
    let mut notes = Notes::new([stage.control(DISPLAY)?, stage.control(AUDIO)?])?;
    notes.step("host", "has bound both functions, nobody opened them")?;
    let mut display = stage.client(DISPLAY)?;
    notes.step("client", "opens the display function")?;
    let mut audio = stage.client(AUDIO)?;
    notes.step("client", "opens the audio function")?;

    display.low_power_entry()?;
    notes.step("client", "display: LOW_POWER_ENTRY")?;
    audio.low_power_entry()?;
    notes.step("client", "audio: LOW_POWER_ENTRY")?;
    audio.low_power_exit()?;
    notes.step("client", "audio: LOW_POWER_EXIT")?;
    audio.low_power_entry()?;
    notes.step("client", "audio: LOW_POWER_ENTRY")?;
    notes.ask(AUDIO, &Verb::HostAccess(HostAccess {}))?;
    notes.step("host", "lspci reads the audio function")?;
    display.low_power_exit()?;
    notes.step("client", "display: LOW_POWER_EXIT")?;

    notes.close(audio, AUDIO)?;
    notes.step("client", "closes the audio function")?;
    notes.close(display, DISPLAY)?;
    notes.step("client", "closes the display function")?;
    Ok(notes.table)
}

/// The table in the making, and the sockets through which what goes into it is learned.
struct Notes {
    controls: [ControlClient; 2],
    table: String,
}

impl Notes {
    fn new(controls: [ControlClient; 2]) -> anyhow::Result<Self> {
        let mut table = String::new();
        let (time, display, audio) = ("time", "display", "audio");
        writeln!(
            table,
            "{time:>7}  who     {:44}  {display:20}  {audio:20}  link",
            "event"
        )?;
        Ok(Self { controls, table })
    }

    /// Notes where both functions are after a step, and lets a little time pass.
    fn step(&mut self, who: &str, what: &str) -> anyhow::Result<()> {
        let mut nanos = 0;
        let mut link = String::new();
        let mut states = Vec::new();
        for control in &mut self.controls {
            let status = control.status()?;
            nanos = status.nanos;
            link = status.link.to_string();
            let (real, recorded) = (
                status.device.power_state,
                status.device.recorded_power_state,
            );
            states.push(if real == recorded {
                real.to_string()
            } else {
                format!("{real} (host: {recorded})")
            });
        }
        let at = Duration::from_nanos(nanos).as_millis();
        let states: Vec<String> = states.iter().map(|state| format!("{state:20}")).collect();
        let states = states.join("  ");
        writeln!(
            self.table,
            "{at:4} ms  {who:6}  {what:44}  {states}  {link}"
        )?;
        let [display, _] = &mut self.controls;
        Ok(display.advance(PAUSE)?)
    }

    fn ask(&mut self, function: usize, verb: &Verb) -> anyhow::Result<()> {
        if let Some(control) = self.controls.get_mut(function) {
            control.ask(verb)?;
        }
        Ok(())
    }

    /// Closes a client and waits until the server has seen that it is gone.
    fn close(&mut self, client: Client, function: usize) -> anyhow::Result<()> {
        drop(client);
        let start = Instant::now();
        while let Some(control) = self.controls.get_mut(function)
            && control.status()?.device.opens > 0
        {
            ensure!(
                start.elapsed() < PATIENCE,
                "the server does not see that its client is gone"
            );
        }
        Ok(())
    }
}
