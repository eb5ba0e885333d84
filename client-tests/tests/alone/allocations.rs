//! Requests that a running guest makes allocate nothing in the server.
//!
//! The server runs on the thread whose allocations are counted, its client on another one. Serving
//! more requests of a kind must not take more allocations than serving fewer.

use std::os::fd::AsFd;
use std::path::Path;
use std::thread;

use client_tests::daemon::{self, Spec};
use client_tests::os::{Event, Memory};
use client_tests::raw::wire::{self, command, dma_map, irq, region, set_irqs};
use client_tests::raw::{PATIENCE, RawClient, SetIrqs};
use dormouse::Settings;

/// A client with all that the requests need.
struct Guest {
    client: RawClient,
    pmcsr: u64,
    trigger: Event,
    _memory: Memory,
}

impl Guest {
    fn new(socket: &Path) -> Self {
        let mut client = RawClient::attach(socket).unwrap();
        let config = client.read(region::CONFIG, 0, 0x100).unwrap();
        let capability = |id| {
            let mut at = config[0x34];
            while config[usize::from(at)] != id {
                at = config[usize::from(at) + 1];
                assert_ne!(at, 0, "capability {id:#x}");
            }
            u64::from(at)
        };
        let (pm, msix) = (capability(1), capability(0x11));
        client.write(region::CONFIG, 4, &[6, 0]).unwrap();
        client.write(region::CONFIG, msix + 2, &[0, 0x80]).unwrap();
        let trigger = Event::new().unwrap();
        let bind = set_irqs::DATA_EVENTFD | set_irqs::ACTION_TRIGGER;
        for (index, flags) in [(irq::MSIX, bind), (irq::INTX, bind)] {
            let request = SetIrqs {
                flags,
                index,
                count: 1,
                ..SetIrqs::default()
            };
            client
                .set_irqs(request, &[trigger.as_fd()])
                .unwrap()
                .success()
                .unwrap();
        }
        let memory = Memory::new(0x2000).unwrap();
        let rights = dma_map::READ | dma_map::WRITE;
        let reply = client.dma_map(rights, 0, 0x10_0000, 0x2000, Some(memory.as_fd()));
        reply.unwrap().success().unwrap();
        for (offset, value) in [
            (0x20, 0x10_0000_u32),
            (0x28, 0x10_1000),
            (0x30, 0x1000),
            (0x34, 1),
        ] {
            client.write(0, offset, &value.to_le_bytes()).unwrap();
        }
        Self {
            client,
            pmcsr: pm + 4,
            trigger,
            _memory: memory,
        }
    }
}

/// Allocations of a server that serves a client which sets itself up and makes a request `count`
/// times.
fn allocations(request: fn(&mut Guest), count: u32) -> u64 {
    let spec = Spec::named("testdev")
        .unwrap()
        .set(&["capabilities.pm.no-soft-reset=true"]);
    let (folder, mut server) = daemon::prepare(Settings::default(), &[spec]).unwrap();
    let handle = server.handle();
    let socket = daemon::socket(&folder, 0);
    let client = thread::spawn(move || {
        let mut guest = Guest::new(&socket);
        for _ in 0..count {
            request(&mut guest);
        }
        // The client is still there when the server ends, so its end is not part of the count.
        handle.shutdown();
        guest
    });
    let counted = allocation_counter::measure(|| server.run().unwrap());
    client.join().unwrap();
    counted.count_total
}

fn assert_allocates_nothing(what: &str, request: fn(&mut Guest)) {
    let (few, many) = (allocations(request, 20), allocations(request, 520));
    assert!(few > 0, "the server's thread is not counted");
    assert!(
        many < few + 500,
        "{what}: 500 requests more took {} allocations more",
        many - few
    );
    assert_eq!(few, many, "{what}: now and then a request allocates");
}

pub fn requests_of_a_running_guest_allocate_nothing() {
    assert_allocates_nothing("reading config space", |guest| {
        guest.client.read(region::CONFIG, 0, 4).unwrap();
    });
    assert_allocates_nothing("writing config space", |guest| {
        guest.client.write(region::CONFIG, 0x3c, &[7]).unwrap();
    });
    assert_allocates_nothing("reading all of config space", |guest| {
        guest.client.read(region::CONFIG, 0, 0x1000).unwrap();
    });
    assert_allocates_nothing("reading and writing a register", |guest| {
        guest.client.write(0, 4, &[1, 2, 3, 4]).unwrap();
        guest.client.read(0, 4, 4).unwrap();
    });
    assert_allocates_nothing("writing many registers at once", |guest| {
        // A message that is cut into turns is kept meanwhile. One of so few writes never is, however slow
        // the machine.
        let write = wire::Bytes::new().u64(4).u32(0).u32(4).u64(7);
        let writes = (0..14).fold(wire::Bytes::new().u64(14), |all, _| all.bytes(&write));
        let reply = guest
            .client
            .request(command::REGION_WRITE_MULTI, &writes, &[]);
        assert_eq!(reply.unwrap().success().unwrap(), 14_u64.to_ne_bytes());
    });
    assert_allocates_nothing("reading and writing memory in a BAR", |guest| {
        guest.client.write(2, 0x123, &[0x55; 0x1000]).unwrap();
        guest.client.read(2, 0x123, 0x1000).unwrap();
    });
    assert_allocates_nothing("writing the MSI-X table", |guest| {
        guest.client.write(4, 0, &[0; 16]).unwrap();
    });
    assert_allocates_nothing("going to sleep and back", |guest| {
        guest
            .client
            .write(region::CONFIG, guest.pmcsr, &[3, 0])
            .unwrap();
        guest
            .client
            .write(region::CONFIG, guest.pmcsr, &[0, 0])
            .unwrap();
    });
    assert_allocates_nothing("reading a BAR of a sleeping function", |guest| {
        guest
            .client
            .write(region::CONFIG, guest.pmcsr, &[3, 0])
            .unwrap();
        guest.client.read(0, 0, 4).unwrap();
    });
    assert_allocates_nothing("interrupts", |guest| {
        guest.client.write(0, 8, &[0; 4]).unwrap();
        assert_eq!(guest.trigger.take_within(PATIENCE).unwrap(), 1);
    });
    assert_allocates_nothing("unmasking INTx", |guest| {
        let flags = set_irqs::DATA_NONE | set_irqs::ACTION_UNMASK;
        let request = SetIrqs {
            flags,
            count: 1,
            ..SetIrqs::default()
        };
        guest
            .client
            .set_irqs(request, &[])
            .unwrap()
            .success()
            .unwrap();
    });
    assert_allocates_nothing("copying by DMA", |guest| {
        guest.client.write(0, 0x38, &[1, 0, 0, 0]).unwrap();
        while guest.client.read(0, 0x3c, 4).unwrap()[0] & 1 != 0 {}
    });
}

pub fn allocations_of_requests_are_seen() {
    // A map is kept in a tree, which no request of a running guest touches.
    let request: fn(&mut Guest) = |guest| {
        let memory = Memory::new(0x1000).unwrap();
        let reply = guest
            .client
            .dma_map(dma_map::READ, 0, 0, 0x1000, Some(memory.as_fd()));
        reply.unwrap().success().unwrap();
        guest
            .client
            .dma_unmap(0, 0, 0x1000)
            .unwrap()
            .success()
            .unwrap();
    };
    assert!(allocations(request, 520) >= allocations(request, 20) + 500);
}
