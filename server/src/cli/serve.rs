//! `dormouse serve`: turns arguments into a running server.

mod backend;
mod manager;
mod plan;

use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::backend::{Backend, Opened};
use crate::closer::Closer;
use crate::endpoint::Endpoint;
use crate::listen::{self, Access, SocketFile};
use crate::sandbox::{Remover, Sandbox};
use crate::served::{ServedController, ServedFunction, ServedSlot};
use crate::server::Server;
use crate::state_file;
use anyhow::Context;
use pci_device_models::model::Registry;
use pci_device_models::slot::FunctionNumber;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tracing::{info, warn};

use super::args::ServeArguments;
use super::failure::Failure;
use super::{logging, paths, signals};
use manager::Manager;
use plan::{Place, Plan, PlannedController, PlannedFunction, PlannedSlot};

pub fn run(arguments: &ServeArguments, registry: &Registry) -> Result<(), Failure> {
    signals::survive_file_limit().context("installing signal handlers")?;
    // Validates every profile before it creates any socket.
    let Plan {
        mut settings,
        access,
        sandbox,
        mut slots,
        controller,
    } = Plan::new(arguments, manager::passed_sockets()?, registry)?;
    for slot in &mut slots {
        if let Some(file) = &slot.restore {
            let restored =
                state_file::restore(&mut slot.devices.first_mut(), settings.clock.now(), file);
            restored.with_context(|| format!("restoring {}", slot.names()))?;
        }
    }
    if let Some(lines) = arguments.guard.max_log_burst {
        logging::limit_bursts(lines);
    }
    raise_descriptor_limit();
    crate::sys::return_large_buffers();
    let mut sockets = Sockets::open(&slots, controller.as_ref(), access)?;
    let functions = slots.iter().flat_map(|slot| &slot.functions);
    let mut opened = functions
        .map(|function| backend::open(function, access))
        .collect::<Result<Vec<Opened>, _>>()?;
    let mut files = std::mem::take(&mut sockets.files);
    files.extend(opened.iter_mut().filter_map(|opened| opened.file.take()));
    // Before the server, so that the sockets are closed when their files go.
    let _remover = Remover::start(files, &sandbox)?;

    settings.closer = start_closer(&sandbox)?;
    let mut server = Server::new(settings)?;
    server.watch_shutdown_fd(signals::shutdown_fd().context("installing signal handlers")?)?;
    announce(&slots)?;
    if let Some(controller) = &controller {
        let names = slots.iter().map(|slot| &*slot.name).collect::<Vec<_>>();
        info!(
            socket = %controller.socket,
            control = controller.control.as_ref().map(tracing::field::display),
            slots = names.join(", "),
            "platform controller ready"
        );
    }
    for opened in &opened {
        backend::announce(opened)?;
    }
    let mut backends = opened.iter_mut().map(|opened| opened.backend.take());
    for (slot, sockets) in slots.into_iter().zip(sockets.of_slots.drain(..)) {
        server.add(served(slot, sockets, &mut backends))?;
    }
    if let Some(FunctionSockets { device, control }) = sockets.controller {
        let mut served = ServedController::new(device);
        served.control = control;
        served.restore = controller.and_then(|controller| controller.restore);
        server.add_controller(served)?;
    }
    let manager = Manager::find();
    let enforced = sandbox.enter()?;
    info!(sandbox = %enforced, "entered the sandbox");
    // A datagram socket reaches others than the service manager, so it goes before the first client comes.
    manager.tell_ready();
    Ok(server.run()?)
}

/// Starts the thread that closes what is large, in a sandbox like that of the server.
fn start_closer(sandbox: &Sandbox) -> anyhow::Result<Closer> {
    let sandbox = sandbox.clone();
    Ok(Closer::start(move || {
        crate::sys::block_signals();
        sandbox.enter().map(drop)
    })?)
}

/// Raises the soft limit of descriptors to the hard limit. The soft limit is low by default for the
/// sake of programs that use select(2).
fn raise_descriptor_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        warn!(%error, limit = current, "cannot raise the limit of descriptors");
    }
}

/// The open sockets of all slots.
struct Sockets {
    of_slots: Vec<SlotSockets>,
    /// The sockets of the platform controller.
    controller: Option<FunctionSockets>,
    /// Files of bound sockets.
    files: Vec<SocketFile>,
}

/// The sockets of one slot.
struct SlotSockets {
    functions: Vec<FunctionSockets>,
    rail: Option<UnixListener>,
}

/// The sockets of one function.
struct FunctionSockets {
    device: Endpoint,
    control: Option<UnixListener>,
}

impl Sockets {
    fn open(
        slots: &[PlannedSlot],
        controller: Option<&PlannedController>,
        access: Access,
    ) -> Result<Self, Failure> {
        // Adopts inherited descriptors first: a mistaken number then cannot name a socket of this process.
        let adopt_sockets = |socket: &Place, control: &Option<Place>| -> Result<_, Failure> {
            let device = match socket {
                Place::Fd(number) => Some(listen::adopt(*number)?),
                Place::Path(_) => None,
            };
            Ok((device, passed(control)?))
        };
        let adopt_function =
            |function: &PlannedFunction| adopt_sockets(&function.socket, &function.control);
        let adopt = |slot: &PlannedSlot| -> Result<_, Failure> {
            let functions = slot.functions.iter().map(adopt_function);
            Ok((
                functions.collect::<Result<Vec<_>, _>>()?,
                passed(&slot.rail)?,
            ))
        };
        let adopted = slots.iter().map(adopt).collect::<Result<Vec<_>, _>>()?;
        let of_controller = controller
            .map(|controller| adopt_sockets(&controller.socket, &controller.control))
            .transpose()?;

        let mut files = Vec::new();
        let mut bind = |path: &Path| -> Result<UnixListener, Failure> {
            let (listener, file) = listen::bind(path, access)?;
            files.push(file);
            Ok(listener)
        };
        let controller = match (of_controller, controller) {
            (Some(adopted), Some(planned)) => {
                bind_sockets(&mut bind, adopted, &planned.socket, &planned.control)?
            }
            _ => None,
        };
        let mut of_slots = Vec::new();
        for (slot, (adopted, rail)) in slots.iter().zip(adopted) {
            let mut functions = Vec::new();
            for (function, adopted) in slot.functions.iter().zip(adopted) {
                let (socket, control) = (&function.socket, &function.control);
                functions.extend(bind_sockets(&mut bind, adopted, socket, control)?);
            }
            let rail = match (rail, &slot.rail) {
                (None, Some(Place::Path(path))) => Some(bind(path)?),
                (adopted, _) => adopted,
            };
            of_slots.push(SlotSockets { functions, rail });
        }
        Ok(Self {
            of_slots,
            controller,
            files,
        })
    }
}

/// The inherited sockets of a function.
type Adopted = (Option<Endpoint>, Option<UnixListener>);

/// Binds those sockets of a function that are paths.
fn bind_sockets(
    bind: &mut impl FnMut(&Path) -> Result<UnixListener, Failure>,
    (device, its_control): Adopted,
    socket: &Place,
    control: &Option<Place>,
) -> Result<Option<FunctionSockets>, Failure> {
    let device = match (device, socket) {
        (None, Place::Path(path)) => Some(Endpoint::Listener(bind(path)?)),
        (device, _) => device,
    };
    let control = match (its_control, control) {
        (None, Some(Place::Path(path))) => Some(bind(path)?),
        (adopted, _) => adopted,
    };
    Ok(device.map(|device| FunctionSockets { device, control }))
}

/// Returns the inherited listener of `place`, or `None` if `place` is a path.
fn passed(place: &Option<Place>) -> Result<Option<UnixListener>, Failure> {
    match place {
        Some(Place::Fd(number)) => Ok(Some(listen::adopt_listener(*number)?)),
        Some(Place::Path(_)) | None => Ok(None),
    }
}

fn served(
    planned: PlannedSlot,
    sockets: SlotSockets,
    backends: &mut impl Iterator<Item = Option<Backend>>,
) -> ServedSlot {
    let mut slot = ServedSlot::new(planned.devices).with_name(planned.name);
    slot.rail = sockets.rail;
    let functions = planned.functions.into_iter().zip(sockets.functions);
    for ((function, sockets), backend) in functions.zip(backends) {
        slot = slot.with_function(ServedFunction {
            number: function.number,
            client_memory: function.client_memory,
            control: sockets.control,
            backend,
            ..ServedFunction::new(function.name, sockets.device)
        });
    }
    slot
}

/// Logs that the functions are ready. For sockets at default paths, also prints the QEMU option and
/// the `dormouse ctl` command to copy.
fn announce(slots: &[PlannedSlot]) -> Result<(), Failure> {
    for slot in slots {
        let several = slot.functions.len() > 1;
        if several && slot.functions.iter().any(|function| function.by_default) {
            super::print(format!("-device pcie-root-port,id={ROOT_PORT}\n"))?;
        }
        for function in &slot.functions {
            info!(
                function = function.name,
                number = several.then(|| u8::from(function.number)),
                socket = %function.socket,
                control = function.control.as_ref().map(tracing::field::display),
                rail = slot.rail.as_ref().map(tracing::field::display),
                "ready"
            );
            if let (true, Place::Path(path)) = (function.by_default, &function.socket) {
                let number = several.then_some(function.number);
                super::print(format!("{}\n", qemu_option(path, number)))?;
                if let Some(Place::Path(path)) = &function.control {
                    super::print(format!("{}\n", ctl_command(path)))?;
                }
            }
        }
    }
    Ok(())
}

/// The root port that printed QEMU options put a card behind.
const ROOT_PORT: &str = "rp0";

/// Returns the QEMU option that attaches the function to a guest, as one of a card if it has a number.
fn qemu_option(socket: &Path, number: Option<FunctionNumber>) -> String {
    let mut option = json!({
        "driver": "vfio-user-pci",
        "socket": { "type": "unix", "path": paths::absolute(socket).to_string_lossy() },
    });
    if let (Some(number), Some(option)) = (number, option.as_object_mut()) {
        option.insert("bus".to_owned(), json!(ROOT_PORT));
        option.insert("addr".to_owned(), json!(format!("0.{number}")));
        option.insert("multifunction".to_owned(), json!(true));
    }
    format!("-device {}", shell_word(&option.to_string()))
}

fn ctl_command(socket: &Path) -> String {
    let path = paths::absolute(socket);
    format!(
        "dormouse ctl --ctl-path {} status",
        shell_word(&path.to_string_lossy())
    )
}

/// Quotes `text` as a single word of a POSIX shell.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_to_copy_survive_a_shell() {
        assert_eq!(
            qemu_option(Path::new("/run/it's here"), None),
            r#"-device '{"driver":"vfio-user-pci","socket":{"path":"/run/it'\''s here","type":"unix"}}'"#
        );
        assert_eq!(
            ctl_command(Path::new("/run/ctl.sock")),
            "dormouse ctl --ctl-path /run/ctl.sock status"
        );
    }
}
