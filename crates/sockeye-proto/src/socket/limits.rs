//! What a peer may ask us to hold or walk through, for one packet.

/// Limits on a single incoming packet. Exceeding one is a [`Violation`](super::Violation), except for the name of
/// a namespace in a CONNECT ([`Body::InvalidNamespace`](super::Body::InvalidNamespace)).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Binary attachments of one packet. Default 10, the reference's own limit since its parser 4.2.6. It counts
    /// for msgpack too, which has no such limit of its own: a packet accepted here may be relayed to JSON
    /// clients, and they would drop their connection at the eleventh attachment.
    pub attachments: usize,
    /// Bytes of all attachments of one packet together. Default 10 000 000; see [`Limits::for_messages_of`].
    pub attachment_bytes: usize,
    /// Arrays and objects inside each other, the array of arguments included. Default 128. Typed reading has a
    /// fixed limit of its own at 127 levels inside one argument, just as many as that; beyond it, it reports an error
    /// to the handler that asked.
    pub depth: usize,
    /// Bytes of an event name. Default 512. The reference has no such limit; names are written by programmers.
    pub event_name: usize,
    /// Bytes of a namespace name. Default 255.
    pub namespace: usize,
}

impl Limits {
    /// The defaults for a session whose messages may have `max_payload` bytes: the attachments of one packet
    /// may then have 10 × `max_payload` bytes together, and never more than 10 MB.
    pub fn for_messages_of(max_payload: usize) -> Limits {
        let limits = Limits::default();
        let attachment_bytes = limits.attachments.saturating_mul(max_payload).min(limits.attachment_bytes);
        Limits { attachment_bytes, ..limits }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { attachments: 10, attachment_bytes: 10_000_000, depth: 128, event_name: 512, namespace: 255 }
    }
}
