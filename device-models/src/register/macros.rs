//! Declarations of registers and of their bits.

/// Declares the registers of a bank, each in its own type.
///
/// A register has a name, a byte offset, a type (an integer or one declared with
/// [`register_bits!`](crate::register_bits)) and, in braces, what differs from a read-only register that reads
/// zero: `reset`, the value after a reset, and any of the methods of
/// [`Attributes`](crate::register::Attributes) that take a mask (`rw`, `rw1c`, `sticky`, …). A mask is `all`, a list
/// of fields of the register's type, `[DONE, ERROR]`, or a number. Bytes that no register covers are reserved.
///
/// The macro declares
///
/// * the offset of each register as a constant: `STATUS`;
/// * the bank, which is a [`Block`](crate::register::Block) with a getter for each register, `status()`, and methods for
///   changes that hardware makes: `set_status(…)`, and `raise_status(…)` and `clear_status(…)`, which set and clear
///   bits. A bank starts with the reset values, and serde saves it as the values of its DWORDs;
/// * `Registers::DESCRIPTION`, the same as a [`BankDescription`](crate::register::BankDescription).
///
/// ```
/// pci_device_models::register_bits! {
///     /// The state of the job.
///     #[bitfield(u32)]
///     pub struct Status {
///         /// A job runs.
///         pub busy: bool,
///         /// The last job is over.
///         pub done: bool,
///         #[bits(30)]
///         __: u32,
///     }
/// }
///
/// pci_device_models::registers! {
///     /// The registers of BAR0.
///     pub struct Registers[0x10] {
///         /// Bus address of the buffer.
///         ADDRESS @ 0x00: u64 { rw: all },
///         /// Bytes to move.
///         LENGTH @ 0x08: u16 { reset: 0x40, rw: 0x0fff },
///         /// The state of the job.
///         STATUS @ 0x0c: Status { rw1c: [DONE] },
///     }
/// }
///
/// let mut registers = Registers::default();
/// registers.set_address(0x1_0000);
/// registers.raise_status(Status::BUSY);
/// assert!(registers.status().busy());
/// assert_eq!(registers.read_at(STATUS), 0x0000_0001);
/// assert_eq!(Registers::DESCRIPTION.registers()[1].name(), "LENGTH");
/// ```
///
/// # Errors
/// The compiler refuses a bank with a mistake. Two registers at the same place
/// (``REGISTER_A and REGISTER_B: the registers overlap; move one of them``):
///
/// ```compile_fail,E0080
/// pci_device_models::registers! {
///     pub struct Registers[0x10] {
///         REGISTER_A @ 0x00: u32,
///         REGISTER_B @ 0x02: u16,
///     }
/// }
/// ```
///
/// An offset that is not a multiple of the register's size:
///
/// ```compile_fail,E0080
/// pci_device_models::registers! {
///     pub struct Registers[0x10] {
///         MISALIGNED @ 0x02: u32,
///     }
/// }
/// ```
///
/// A register that ends beyond the bank:
///
/// ```compile_fail,E0080
/// pci_device_models::registers! {
///     pub struct Registers[0x10] {
///         BEYOND @ 0x10: u8,
///     }
/// }
/// ```
///
/// A mask with bits that the register does not have:
///
/// ```compile_fail,E0080
/// pci_device_models::registers! {
///     pub struct Registers[0x10] {
///         NARROW @ 0x00: u8 { rw: 0x100 },
///     }
/// }
/// ```
///
/// A bit with two kinds of access:
///
/// ```compile_fail,E0080
/// pci_device_models::registers! {
///     pub struct Registers[0x10] {
///         BOTH @ 0x00: u8 { rw: 0x03, rw1c: 0x01 },
///     }
/// }
/// ```
///
/// A type that does not exist:
///
/// ```compile_fail
/// pci_device_models::registers! {
///     pub struct Registers[0x10] {
///         UNKNOWN @ 0x00: NoSuchType,
///     }
/// }
/// ```
///
/// An attribute that does not exist, as an unknown method of `Attributes`:
///
/// ```compile_fail,E0599
/// pci_device_models::registers! {
///     pub struct Registers[0x10] {
///         UNKNOWN @ 0x00: u8 { rw2c: all },
///     }
/// }
/// ```
#[macro_export]
macro_rules! registers {
    (
        $(#[$bank_meta:meta])*
        $vis:vis struct $bank:ident[$size:expr] {
            $(
                $(#[doc = $doc:expr])*
                $name:ident @ $offset:literal: $type:ty
                    $({ $($attribute:ident: $mask:tt),+ $(,)? })?
            ),* $(,)?
        }
    ) => {$crate::__register::paste! {
        $(
            #[doc = concat!("Byte offset of `", stringify!($name), "`.")]
            #[doc = ""]
            $(#[doc = $doc])*
            $vis const $name: u64 = $offset;
        )*

        $(#[$bank_meta])*
        #[derive(Clone, Debug)]
        $vis struct $bank($crate::register::Block);

        #[allow(dead_code)]
        impl $bank {
            /// The names, places, attributes and fields of the registers.
            $vis const DESCRIPTION: &'static $crate::register::BankDescription = {
                const REGISTERS: &[$crate::register::RegisterDescription] = &[$(
                    $crate::register::RegisterDescription::new(
                        stringify!($name),
                        $name,
                        <$type as $crate::register::RegisterBits>::WIDTH,
                        $crate::register::Attributes::new()
                            $($(.$attribute($crate::__register_mask!($type, $mask)))+)?,
                        <$type as $crate::register::RegisterBits>::FIELDS,
                    ),
                )*];
                &$crate::register::BankDescription::unchecked(stringify!($bank), $size, REGISTERS)
            };

            $(
                #[doc = concat!("Returns `", stringify!($name), "`.")]
                #[doc = ""]
                $(#[doc = $doc])*
                #[must_use]
                $vis fn [<$name:lower>](&self) -> $type {
                    self.0.get($name as usize)
                }

                #[doc = concat!("Changes `", stringify!($name), "` as hardware does, beyond what software may write.")]
                $vis fn [<set_ $name:lower>](&mut self, value: $type) {
                    self.0.set($name as usize, value);
                }

                #[doc = concat!("Sets bits of `", stringify!($name), "`.")]
                $vis fn [<raise_ $name:lower>](&mut self, bits: $type) {
                    self.[<set_ $name:lower>](self.[<$name:lower>]() | bits);
                }

                #[doc = concat!("Clears bits of `", stringify!($name), "`.")]
                $vis fn [<clear_ $name:lower>](&mut self, bits: $type) {
                    self.[<set_ $name:lower>](self.[<$name:lower>]() & !bits);
                }
            )*
        }

        const _: () = $bank::DESCRIPTION.require_valid();

        impl Default for $bank {
            fn default() -> Self {
                Self($bank::DESCRIPTION.block())
            }
        }

        impl ::std::ops::Deref for $bank {
            type Target = $crate::register::Block;
            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }

        impl ::std::ops::DerefMut for $bank {
            fn deref_mut(&mut self) -> &mut Self::Target {
                &mut self.0
            }
        }

        impl $crate::__register::serde::Serialize for $bank {
            fn serialize<S: $crate::__register::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::std::result::Result<S::Ok, S::Error> {
                $crate::__register::serde::Serialize::serialize(&self.0.values(), serializer)
            }
        }

        impl<'de> $crate::__register::serde::Deserialize<'de> for $bank {
            fn deserialize<D: $crate::__register::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::std::result::Result<Self, D::Error> {
                let values: ::std::vec::Vec<u32> =
                    $crate::__register::serde::Deserialize::deserialize(deserializer)?;
                let mut registers = Self::default();
                let set = registers.0.set_values("registers", &values);
                set.map_err($crate::__register::serde::de::Error::custom)?;
                Ok(registers)
            }
        }
    }};
}

/// Expands to the bits of a mask in [`registers!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __register_mask {
    ($type:ty, all) => {
        u64::MAX >> (64 - <$type as $crate::register::RegisterBits>::WIDTH)
    };
    ($type:ty, [$($field:ident),* $(,)?]) => {
        0 $(| <$type>::$field.into_bits() as u64)*
    };
    ($type:ty, $bits:expr) => {
        $bits
    };
}

/// Declares types for the values of registers whose bits have names.
///
/// Each is a bitfield of the crate `bitfield_struct`, written in its own form with the attribute `#[bitfield(…)]`
/// first after the documentation. Fields stand lowest first, as many bits as the type has; unused ones are fields of
/// the name `__`. The macro adds what registers need:
///
/// * a constant with the bits of each field, `HostStatus::BUSY`, for masks and comparisons;
/// * `|`, `&`, `!`, `==` and `has(…)`;
/// * serde's traits: a value is saved as its number;
/// * [`RegisterBits`](crate::register::RegisterBits), with a description of the fields.
///
/// For a bitfield that is declared elsewhere, `register_bits!(HostStatus: u8)` implements `RegisterBits` alone.
///
/// ```
/// pci_device_models::register_bits! {
///     /// Host Status.
///     #[bitfield(u8)]
///     pub struct HostStatus {
///         /// A transaction runs.
///         pub busy: bool,
///         /// The kind of the last transaction.
///         #[bits(3)]
///         pub kind: u8,
///         #[bits(4)]
///         __: u8,
///     }
/// }
///
/// let status = HostStatus::BUSY | HostStatus::new().with_kind(5);
/// assert_eq!(status.into_bits(), 0b1011);
/// assert!(status.has(HostStatus::KIND));
/// assert_eq!(serde_json::to_string(&status).ok().as_deref(), Some("11"));
/// ```
///
/// # Errors
/// `bitfield_struct` refuses fields that are not as many bits as the type has:
///
/// ```compile_fail
/// pci_device_models::register_bits! {
///     #[bitfield(u8)]
///     pub struct TooShort {
///         pub busy: bool,
///     }
/// }
/// ```
#[macro_export]
macro_rules! register_bits {
    // A `bitfield_struct` type (or an integer) that is declared elsewhere.
    ($($register:ty: $integer:ty),* $(,)?) => {$(
        impl $crate::register::RegisterBits for $register {
            const WIDTH: u32 = <$integer>::BITS;
            fn to_bits(self) -> u64 {
                u64::from(<$integer>::from(self))
            }
            fn of_bits(bits: u64) -> Self {
                Self::from(bits as $integer)
            }
        }
    )*};
    ($(
        $(#[doc = $doc:expr])*
        #[bitfield($integer:ident $($option:tt)*)]
        $(#[$meta:meta])*
        $vis:vis struct $type:ident {
            $(
                $(#[$field_meta:meta])*
                $field_vis:vis $field:ident: $field_type:ident
            ),* $(,)?
        }
    )*) => {$(
        $(#[doc = $doc])*
        #[$crate::__register::bitfield($integer $($option)*)]
        #[derive(PartialEq, Eq)]
        $(#[$meta])*
        $vis struct $type {
            $(
                $(#[$field_meta])*
                $field_vis $field: $field_type,
            )*
        }

        $crate::__register_fields!($type: $integer, [] $([$field_vis $field])*);

        #[allow(dead_code)]
        impl $type {
            /// Returns whether any of these bits is set.
            #[must_use]
            $vis const fn has(self, bits: Self) -> bool {
                self.into_bits() & bits.into_bits() != 0
            }
        }

        impl ::std::ops::BitOr for $type {
            type Output = Self;
            fn bitor(self, other: Self) -> Self {
                Self::from_bits(self.into_bits() | other.into_bits())
            }
        }

        impl ::std::ops::BitAnd for $type {
            type Output = Self;
            fn bitand(self, other: Self) -> Self {
                Self::from_bits(self.into_bits() & other.into_bits())
            }
        }

        impl ::std::ops::Not for $type {
            type Output = Self;
            fn not(self) -> Self {
                Self::from_bits(!self.into_bits())
            }
        }

        impl $crate::__register::serde::Serialize for $type {
            fn serialize<S: $crate::__register::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::std::result::Result<S::Ok, S::Error> {
                $crate::__register::serde::Serialize::serialize(&self.into_bits(), serializer)
            }
        }

        impl<'de> $crate::__register::serde::Deserialize<'de> for $type {
            fn deserialize<D: $crate::__register::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::std::result::Result<Self, D::Error> {
                <$integer as $crate::__register::serde::Deserialize>::deserialize(deserializer)
                    .map(Self::from_bits)
            }
        }
    )*};
}

/// Declares the constants of the named fields for [`register_bits!`], after gathering these fields in brackets.
#[doc(hidden)]
#[macro_export]
macro_rules! __register_fields {
    ($type:ident: $integer:ident, [$($named:tt)*] [$vis:vis __] $($rest:tt)*) => {
        $crate::__register_fields!($type: $integer, [$($named)*] $($rest)*);
    };
    ($type:ident: $integer:ident, [$($named:tt)*] [$vis:vis $field:ident] $($rest:tt)*) => {
        $crate::__register_fields!($type: $integer, [$($named)* [$vis $field]] $($rest)*);
    };
    ($type:ident: $integer:ident, [$([$vis:vis $field:ident])*]) => {$crate::__register::paste! {
        #[allow(dead_code)]
        impl $type {
            $(
                #[doc = concat!("The bits of `", stringify!($field), "`.")]
                $vis const [<$field:upper>]: Self = Self::from_bits(
                    $integer::MAX >> ($integer::BITS - Self::[<$field:upper _BITS>] as u32)
                        << Self::[<$field:upper _OFFSET>],
                );
            )*
        }

        impl $crate::register::RegisterBits for $type {
            const WIDTH: u32 = $integer::BITS;
            const FIELDS: &'static [$crate::register::FieldDescription] = &[$(
                $crate::register::FieldDescription::new(
                    stringify!($field),
                    Self::[<$field:upper _OFFSET>] as u32,
                    Self::[<$field:upper _BITS>] as u32,
                ),
            )*];
            fn to_bits(self) -> u64 {
                self.into_bits() as u64
            }
            fn of_bits(bits: u64) -> Self {
                Self::from_bits(bits as $integer)
            }
        }
    }};
}
