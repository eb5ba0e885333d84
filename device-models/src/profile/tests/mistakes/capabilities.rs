//! Mistakes in single capabilities.

use super::Mistake;

pub(super) const MISTAKES: &[Mistake] = &[
    (
        "FLR that the register takes back",
        r#"[capabilities.pcie]
flr = true
device-capabilities = 0x8001
"#,
        "my.toml:9: capabilities.pcie.flr: flr = true contradicts device-capabilities, which says otherwise; remove one of them",
    ),
    (
        "a link speed that the register takes back",
        r#"[capabilities.pcie]
link-capabilities = 0x0040_0043
link-speed = 2
"#,
        "my.toml:10: capabilities.pcie.link-speed: link-speed = 2 contradicts link-capabilities, which says otherwise; remove one of them",
    ),
    (
        "a register of version 2 in version 1",
        r#"[capabilities.pcie]
version = 1
link-status-2 = 1
"#,
        "my.toml:10: capabilities.pcie.link-status-2: version 1 of the capability has no such register; remove it or choose version 2",
    ),
    (
        "fixed addresses without a BAR",
        r#"[capabilities.enhanced-allocation]
entries = [{ bar = 0, base = 0x1000_0000 }]
"#,
        "my.toml:9: capabilities.enhanced-allocation.entries: there is no BAR 0; add it, for its kind and size",
    ),
    (
        "an auxiliary current without encoding",
        r#"[capabilities.pm]
pme-from = ["d3cold"]
aux-current-ma = 300
"#,
        "my.toml:10: capabilities.pm.aux-current-ma: no encoding for 300 mA; the choice is [0, 55, 100, 160, 220, 270, 320, 375]",
    ),
    (
        "a PM version that does not exist",
        r#"[capabilities.pm]
version = 4
"#,
        "my.toml:9: capabilities.pm.version: version 4 does not exist; PCI Express functions have 3, older ones 1 or 2",
    ),
    (
        "a reserved data select",
        r#"[capabilities.pm]
data = [{ select = 9, scale = 1, value = 26 }]
"#,
        "my.toml:9: capabilities.pm.data: data select 9 is reserved; selects are 0 to 8",
    ),
    (
        "a number of MSI vectors that does not exist",
        r#"[capabilities.msi]
vectors = 3
"#,
        "my.toml:9: capabilities.msi.vectors: 3 vectors: MSI has 1, 2, 4, 8, 16 or 32",
    ),
    (
        "too many MSI-X vectors",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1000

[capabilities.msix]
table-bar = 0
vectors = 4096
"#,
        "my.toml:15: capabilities.msix.vectors: 4096 vectors: MSI-X has 1 to 2048",
    ),
    (
        "an MSI-X table in a missing BAR",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1000

[capabilities.msix]
table-bar = 2
"#,
        "my.toml:14: capabilities.msix.table-bar: there is no BAR 2; memory BARs are 0",
    ),
    (
        "an MSI-X table in an I/O BAR",
        r#"[[bar]]
index = 1
kind = "io"
size = 0x20

[capabilities.msix]
table-bar = 1
"#,
        "my.toml:14: capabilities.msix.table-bar: BAR 1 is an I/O BAR; the function has no memory BAR; add one",
    ),
    (
        "an MSI-X table that leaves its BAR",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1000

[capabilities.msix]
table-bar = 0
table-offset = 0xff8
pba-offset = 0
"#,
        "my.toml:15: capabilities.msix.table-offset: the table at 0xff8 to 0x1008 leaves BAR 0, which has 0x1000 bytes; enlarge the BAR or move the table",
    ),
    (
        "a PBA that leaves its BAR",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1000

[capabilities.msix]
table-bar = 0
pba-offset = 0x1000
"#,
        "my.toml:15: capabilities.msix.pba-offset: the pba at 0x1000 to 0x1008 leaves BAR 0, which has 0x1000 bytes; enlarge the BAR or move the pba",
    ),
    (
        "a PBA in the MSI-X table",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1000

[capabilities.msix]
table-bar = 0
vectors = 16
pba-offset = 0x80
"#,
        "my.toml:16: capabilities.msix.pba-offset: the Pending Bit Array at 0x80 overlaps the table, which ends at 0x100; move it behind",
    ),
    (
        "an unaligned MSI-X table",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1000

[capabilities.msix]
table-bar = 0
table-offset = 4
"#,
        "my.toml:15: capabilities.msix.table-offset: 0x4 is not a multiple of 8",
    ),
    (
        "a payload that does not exist",
        r#"[capabilities.pcie]
max-payload = 100
"#,
        "my.toml:9: capabilities.pcie.max-payload: a payload of 100 bytes: sizes are 128, 256, 512, 1024, 2048 and 4096",
    ),
    (
        "an AER version that does not exist",
        r#"[capabilities.aer]
version = 3
"#,
        "my.toml:9: capabilities.aer.version: version 3: AER has versions 1 and 2",
    ),
    (
        "a serial number that is none",
        r#"[capabilities.dsn]
serial = "12-34"
"#,
        r#"my.toml:9: capabilities.dsn.serial: "12-34" is not a serial number; write eight bytes as "00-1b-21-ff-ff-aa-bb-cc""#,
    ),
    (
        "a resizable BAR that does not exist",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1000

[capabilities.resizable-bar]
bars = [{ bar = 2, sizes = [0x10_0000] }]
"#,
        "my.toml:14: capabilities.resizable-bar.bars: BAR 2 is not a memory BAR of this function; name one that is",
    ),
    (
        "a resizable BAR without its own size",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1000

[capabilities.resizable-bar]
bars = [{ bar = 0, sizes = [0x10_0000] }]
"#,
        "my.toml:14: capabilities.resizable-bar.bars: BAR 0 starts with 0x1000 bytes, which is not among its sizes; add it (0x100000 to 0x8000000000 can be) or change the BAR",
    ),
    (
        "a size that no BAR can be resized to",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x10_0000

[capabilities.resizable-bar]
bars = [{ bar = 0, sizes = [0x10_0000, 0x30_0000] }]
"#,
        "my.toml:14: capabilities.resizable-bar.bars: BAR 0 cannot have 0x300000 bytes; sizes are powers of two from 0x100000 on, from 0x100000000 on with 64-bit BARs only",
    ),
    (
        "more RAM after resizing than the daemon gives",
        r#"[[bar]]
index = 0
kind = "memory64"
size = 0x10_0000
content = "ram"

[capabilities.resizable-bar]
bars = [{ bar = 0, sizes = [0x10_0000, 0x1_0000_0000] }]
"#,
        r#"my.toml:15: capabilities.resizable-bar.bars.0.sizes: 0x100000000 bytes are too many for content "ram", which is memory of the daemon; the largest is 0x40000000"#,
    ),
    (
        "a mask that is longer than its bytes",
        r#"[[capabilities.raw]]
id = 0x0a
bytes = [1, 2]
rw = [0, 0, 1]
"#,
        "my.toml:11: capabilities.raw.0.rw: rw has 3 bytes for a structure of 2; shorten it or give more bytes",
    ),
    (
        "an id without the header that it stands in",
        r#"[[capabilities.raw]]
offset = 0x40
id = 0x0a
header = false
bytes = [1]
"#,
        "my.toml:10: capabilities.raw.0.id: id 0xa has no place without a list header; leave id or header = false out",
    ),
];

/// Tables that are valid although the specification forbids them, and their warnings.
pub(super) const WARNINGS: &[Mistake] = &[
    (
        "PME from D1 without D1",
        r#"[capabilities.pm]
pme-from = ["d0", "d1"]
"#,
        "my.toml:9: capabilities.pm.pme-from: PME is signalled from D1, which the function does not have (PCIe Base §7.5.2.1); set d1 = true or leave it out of pme-from",
    ),
    (
        "PME from D2 without D2",
        r#"[capabilities.pm]
pme-from = ["d2"]
"#,
        "my.toml:9: capabilities.pm.pme-from: PME is signalled from D2, which the function does not have (PCIe Base §7.5.2.1); set d2 = true or leave it out of pme-from",
    ),
    (
        "auxiliary current beside a Data register",
        r#"[capabilities.pm]
pme-from = ["d3cold"]
aux-current-ma = 375
data = [{ select = 0, scale = 1, value = 26 }]
"#,
        "my.toml:10: capabilities.pm.aux-current-ma: 375 mA of auxiliary current exclude a Data register (PCIe Base §7.5.2.1); set 0 or remove data",
    ),
    (
        "auxiliary current without PME from D3cold",
        r#"[capabilities.pm]
aux-current-ma = 375
"#,
        r#"my.toml:9: capabilities.pm.aux-current-ma: 375 mA of auxiliary current serve nothing without PME from D3cold (PCIe Base §7.5.2.1); add "d3cold" to pme-from or set 0"#,
    ),
];
