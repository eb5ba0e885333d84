//! Access control: the users that may connect.

use std::os::fd::AsFd;

use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;

/// The users that may connect.
#[derive(Clone, Debug)]
pub(super) struct Peers {
    own: u32,
    /// `None`: all users with access to the socket's file.
    others: Option<Vec<u32>>,
}

impl Peers {
    /// Admits `others` as well as root and the user of this process, who could take it over anyway.
    pub(super) fn new(others: Option<Vec<u32>>) -> Self {
        Self {
            own: geteuid().as_raw(),
            others,
        }
    }

    /// Returns the user at the other end of a connected socket if that user may not connect: its number, or
    /// `None` if it is unknown.
    pub(super) fn stranger(&self, socket: impl AsFd) -> Option<Option<u32>> {
        self.others.as_ref()?;
        let uid = socket_peercred(socket).ok().map(|peer| peer.uid.as_raw());
        (!uid.is_some_and(|uid| self.admit(uid))).then_some(uid)
    }

    fn admit(&self, uid: u32) -> bool {
        let named = |others: &Vec<u32>| others.contains(&uid);
        uid == 0 || uid == self.own || self.others.as_ref().is_none_or(named)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn root_the_own_user_and_those_named_are_let_in() {
        for (others, uid, expected) in [
            (Some(vec![]), 0, true),
            (Some(vec![]), 1000, true),
            (Some(vec![]), 1001, false),
            (Some(vec![]), u32::MAX, false),
            (Some(vec![107, 1001]), 1001, true),
            (Some(vec![107, 1001]), 108, false),
            (None, 1001, true),
        ] {
            let peers = Peers { own: 1000, others };
            assert_eq!(peers.admit(uid), expected, "{uid} of {peers:?}");
        }
    }

    #[test]
    fn the_other_end_of_a_socket_is_asked() {
        let (socket, _peer) = UnixStream::pair().unwrap();
        let (own, nobody) = (geteuid().as_raw(), Some(Vec::new()));
        assert_eq!(Peers::new(nobody.clone()).stranger(&socket), None);
        let others = Peers {
            own: own ^ 1,
            others: nobody,
        };
        let expected = (own != 0).then_some(Some(own));
        assert_eq!(others.stranger(&socket), expected);
    }
}
