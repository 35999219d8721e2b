//! Where wharf does not do what the text of RFC 9293 §3.10.7 says, and why.

/// A difference. Each is met by a cell of the matrix, and stands in `src/manual/differences.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Row {
    /// LISTEN drops a SYN with FIN: nobody sends one in good faith.
    SynFin,
    /// A SYN in the window of a passive SYN-RECEIVED is challenged and does not end it: the
    /// fourth step was written before RFC 5961 §4, whose attack would work here too.
    SynInSynReceived,
    /// The peer's SYN again is answered by the SYN-ACK and not by an ACK: that is what was lost.
    SynAgain,
    /// The SYN-ACK of a simultaneous open stands left of the window and counts all the same:
    /// §3.5, Figure 7, wants it, and the first step of §3.10.7.4 would drop it.
    Figure7,
    /// A bare FIN at RCV.NXT of a shut window is taken, as on Linux: it needs no room.
    FinAtShutWindow,
    /// The ACK of a probe, of what stands at the edge of the window, or of text that comes again,
    /// counts although the segment is refused: else two ends that probe each other, or send again
    /// to each other, wait for ever.
    AckOfRefused,
    /// After the peer's FIN a reset is no error for the reader, as on Linux: the stream was
    /// complete.
    ResetAfterFin,
    /// A FIN behind the peer's FIN is ignored: there is nothing that it could end.
    SecondFin,
    /// TIME-WAIT ignores resets (RFC 1337 §3, F1).
    Assassination,
    /// A SYN past RCV.NXT opens anew from TIME-WAIT (MAY-2).
    Reopened,
    /// TIME-WAIT acknowledges what is in its window and is not the last ACK, with ACK bit or
    /// without, as Linux: the peer believes in a connection that is over.
    TimeWaitAnswers,
}

impl Row {
    pub(super) const EVERY: [Self; 11] = [
        Self::SynFin,
        Self::SynInSynReceived,
        Self::SynAgain,
        Self::Figure7,
        Self::FinAtShutWindow,
        Self::AckOfRefused,
        Self::ResetAfterFin,
        Self::SecondFin,
        Self::Assassination,
        Self::Reopened,
        Self::TimeWaitAnswers,
    ];
}
