//! Command numbers, their names and senders.
//!
//! ```
//! use vfio_user_protocol::{Command, Direction};
//!
//! assert_eq!(Command::try_from(9), Ok(Command::RegionRead));
//! assert_eq!(Command::DmaRead.direction(), Direction::ServerToClient);
//! assert!(Command::try_from(14).is_err());
//! ```

use std::fmt;

use crate::message_type::MessageType;

/// The side that sends a command; its reply goes the other way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The client (VMM) sends it to the server.
    ClientToServer,
    /// The server sends it to the client (DMA with DMA_READ and DMA_WRITE messages).
    ServerToClient,
}

/// The command number does not exist in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("command {0} is unknown; commands are 1..=13 and 15..=19")]
pub struct UnknownCommand(pub u16);

macro_rules! commands {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal, $direction:ident;)*) => {
        /// Every command of the protocol. 14 was DIRTY_PAGES of migration v1 and is not used again.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Command {
            $($(#[$doc])* $variant = $number,)*
        }

        impl Command {
            /// All commands in numerical order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns the specification's name without the prefix VFIO_USER_.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Returns the side that sends the command.
            pub const fn direction(self) -> Direction {
                match self {
                    $(Self::$variant => Direction::$direction,)*
                }
            }
        }

        impl TryFrom<u16> for Command {
            type Error = UnknownCommand;

            fn try_from(number: u16) -> Result<Self, UnknownCommand> {
                match number {
                    $($number => Ok(Self::$variant),)*
                    unknown => Err(UnknownCommand(unknown)),
                }
            }
        }
    };
}

commands! {
    /// Agree on version and capabilities; the first message of a connection.
    Version = 1, "VERSION", ClientToServer;
    /// Tell the server about client memory that it may reach by DMA.
    DmaMap = 2, "DMA_MAP", ClientToServer;
    /// Remove such memory.
    DmaUnmap = 3, "DMA_UNMAP", ClientToServer;
    /// Kind of device, number of regions and interrupt types.
    DeviceGetInfo = 4, "DEVICE_GET_INFO", ClientToServer;
    /// Size, permissions and mappable areas of one region.
    DeviceGetRegionInfo = 5, "DEVICE_GET_REGION_INFO", ClientToServer;
    /// File descriptors that stand for accesses to parts of a region.
    DeviceGetRegionIoFds = 6, "DEVICE_GET_REGION_IO_FDS", ClientToServer;
    /// Number and properties of one interrupt type's vectors.
    DeviceGetIrqInfo = 7, "DEVICE_GET_IRQ_INFO", ClientToServer;
    /// Bind, fire, mask or unmask interrupt vectors.
    DeviceSetIrqs = 8, "DEVICE_SET_IRQS", ClientToServer;
    /// Read from a region.
    RegionRead = 9, "REGION_READ", ClientToServer;
    /// Write to a region.
    RegionWrite = 10, "REGION_WRITE", ClientToServer;
    /// Read client memory.
    DmaRead = 11, "DMA_READ", ServerToClient;
    /// Write client memory.
    DmaWrite = 12, "DMA_WRITE", ServerToClient;
    /// Reset the device.
    DeviceReset = 13, "DEVICE_RESET", ClientToServer;
    /// Several small region writes in one message.
    RegionWriteMulti = 15, "REGION_WRITE_MULTI", ClientToServer;
    /// Get, set or probe an optional feature (migration, DMA logging, low power).
    DeviceFeature = 16, "DEVICE_FEATURE", ClientToServer;
    /// Take migration data out of the device.
    MigDataRead = 17, "MIG_DATA_READ", ClientToServer;
    /// Put migration data into the device.
    MigDataWrite = 18, "MIG_DATA_WRITE", ClientToServer;
    /// Amount of migration data that is left before the device must stop.
    GetPrecopyInfo = 19, "GET_PRECOPY_INFO", ClientToServer;
}

impl Command {
    /// The command's number on the wire.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// Returns the command message as the subject of an error.
    pub const fn request(self) -> Subject {
        Subject {
            command: self,
            kind: MessageType::Command,
            part: None,
        }
    }

    /// Returns the reply message as the subject of an error.
    pub const fn reply(self) -> Subject {
        Subject {
            command: self,
            kind: MessageType::Reply,
            part: None,
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The subject of an error: a command's request or reply, or a named structure inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The command.
    pub command: Command,
    /// Its request (`Command`) or its reply.
    pub kind: MessageType,
    /// The inner structure, where it is not the message as a whole.
    pub part: Option<&'static str>,
}

impl Subject {
    /// Returns a structure inside the message as the subject of an error.
    pub const fn part(self, name: &'static str) -> Self {
        Self {
            part: Some(name),
            ..self
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            MessageType::Command => "request",
            MessageType::Reply => "reply",
        };
        write!(f, "{} {kind}", self.command)?;
        match self.part {
            Some(part) => write!(f, ", {part}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_a_command_or_unknown() {
        for number in 0..=u16::MAX {
            match Command::try_from(number) {
                Ok(command) => assert_eq!(command.number(), number),
                Err(unknown) => {
                    assert_eq!(unknown, UnknownCommand(number));
                    assert!(number == 0 || number == 14 || number > 19);
                }
            }
        }
        assert_eq!(Command::ALL.len(), 18);
    }

    #[test]
    fn only_dma_access_comes_from_the_server() {
        for &command in Command::ALL {
            let from_server = matches!(command, Command::DmaRead | Command::DmaWrite);
            assert_eq!(
                command.direction() == Direction::ServerToClient,
                from_server,
                "{command}"
            );
        }
    }

    #[test]
    fn a_subject_reads_as_a_message() {
        assert_eq!(Command::DmaMap.request().to_string(), "DMA_MAP request");
        assert_eq!(
            Command::DeviceFeature.reply().part("MIGRATION").to_string(),
            "DEVICE_FEATURE reply, MIGRATION"
        );
    }
}
