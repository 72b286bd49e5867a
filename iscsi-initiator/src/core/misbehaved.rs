//! What a target did that RFC 7143 forbids.

use iscsi_proto::framer::FrameError;
use iscsi_proto::isid::Isid;
use iscsi_proto::keys::Key;
use iscsi_proto::keys::text::TextError;
use iscsi_proto::pdu::{Opcode, PduError, Stage};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::Itt;

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident $({ $($(#[$field_doc:meta])* $field:ident: $type:ty),+ $(,)? })? $text:literal $section:literal;)*) => {
        /// One rule of RFC 7143 that the target broke. Each leads to the end of the connection.
        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        #[non_exhaustive]
        pub enum PeerMisbehaved {
            /// The bytes are not PDUs.
            #[error(transparent)]
            Frame(#[from] FrameError),
            /// A header holds what no header may hold.
            #[error(transparent)]
            Pdu(#[from] PduError),
            $(
                $(#[$doc])*
                #[error($text)]
                $name $({ $($(#[$field_doc])* $field: $type),+ })?,
            )*
        }

        impl PeerMisbehaved {
            /// The section of RFC 7143 that the target broke, where one rule is named.
            pub const fn section(&self) -> Option<&'static str> {
                match self {
                    Self::Frame(_) | Self::Pdu(_) => None,
                    $(Self::$name { .. } => Some($section),)*
                }
            }
        }
    };
}

rules! {
    /// A PDU that does not belong in the phase that the connection is in, or that only initiators send.
    UnexpectedPdu {
        /// Its opcode.
        opcode: Opcode,
    } "the target sent {opcode:?}, which has no place here" "4.2.4";
    /// Text that is not key=value pairs, or more of it than anybody needs.
    Text {
        /// What is wrong with it.
        error: TextError,
    } "{error}" "6.1";
    /// A login response for another task.
    LoginTag {
        /// The tag.
        itt: Itt,
    } "the target answered login task {itt}, which was not sent" "6.3";
    /// A login response for another session.
    LoginIsid {
        /// The ISID; zero is tolerated, since some targets leave it out.
        isid: Isid,
    } "the target answered the login with another ISID, {isid}" "11.13";
    /// A login response of a class that does not exist.
    LoginStatusClass {
        /// Status-Class.
        class: u8,
    } "the target answered the login with the reserved status class {class}" "11.13.5";
    /// A protocol version that was not offered.
    LoginVersion {
        /// Version-active.
        version: u8,
    } "the target chose protocol version {version}, but 0 was offered" "11.13.2";
    /// A login response whose StatSN does not follow the last one.
    LoginStatSn {
        /// What was due.
        expected: Serial,
        /// What came.
        received: Serial,
    } "the login response has StatSN {received} where {expected} was due" "11.13.4";
    /// A login response of another stage than the request.
    LoginStage {
        /// CSG of the request.
        expected: Stage,
        /// CSG of the response.
        received: Stage,
    } "the target answered in stage {received:?} of login, not in {expected:?}" "6.3";
    /// A login response that enters a stage that was not proposed.
    LoginTransit {
        /// NSG of the request, if it had the T bit.
        proposed: Option<Stage>,
        /// NSG of the response.
        entered: Stage,
    } "the target entered stage {entered:?} of login, proposed was {proposed:?}" "11.13.6";
    /// Text while the initiator's own text was not complete.
    LoginInterrupted "the target sent text while the text of the initiator was not complete" "6.2";
    /// The session handle of a session that is none, or of another one.
    LoginTsih {
        /// TSIH.
        tsih: u16,
    } "the target ended the login with TSIH {tsih}" "11.13.3";
    /// An ExpCmdSN that is not the CmdSN of the login.
    LoginCmdSn {
        /// CmdSN of the login.
        expected: Serial,
        /// ExpCmdSN of the final response.
        received: Serial,
    } "the target ended the login with ExpCmdSN {received}, the login had CmdSN {expected}" "11.12.8";
    /// A redirection without an address that could be connected to.
    RedirectWithoutAddress "the target redirected the login, but named no usable address" "11.13.5";
    /// A key that came twice in one login.
    RepeatedKey {
        /// The key.
        key: String,
    } "the target sent {key} twice in one login" "6.3";
    /// A key that has no place in this stage or on this connection, or that targets never send.
    MisplacedKey {
        /// The key.
        key: Key,
    } "the target sent {key} where it has no place" "6.3";
    /// A key that waits for an answer, in a response that ends the stage.
    LateOffer {
        /// The key.
        key: Key,
    } "the target offered {key} in the response that ends the stage" "11.13.6";
    /// A response, Data-In or R2T for a task that does not exist.
    UnknownTask {
        /// The tag.
        itt: Itt,
    } "the target answered task {itt}, which does not exist" "4.2.5.3";
    /// A PDU for a task that another connection carries.
    WrongConnection {
        /// The tag.
        itt: Itt,
    } "the target answered task {itt} over another connection than its own" "4.2.5.1";
    /// A PDU for a task of another kind.
    WrongTask {
        /// The tag.
        itt: Itt,
        /// What came.
        opcode: Opcode,
    } "the target sent {opcode:?} for task {itt}, which is not of that kind" "4.2.5.3";
    /// A status number that skips one: a response was lost.
    StatusGap {
        /// What was due.
        expected: Serial,
        /// What came.
        received: Serial,
    } "the target skipped from StatSN {expected} to {received}" "4.2.2.2";
    /// A Data-In PDU is missing.
    DataGap {
        /// What was due.
        expected: Serial,
        /// What came.
        received: Serial,
    } "the target skipped from DataSN {expected} to {received}" "4.2.2.4";
    /// Data that does not continue where the last ended, although DataPDUInOrder is in force.
    DataOffset {
        /// Bytes received so far.
        expected: u32,
        /// Where the data would go.
        received: u32,
    } "data for offset {received} came where offset {expected} was due" "11.7.6";
    /// Data beyond the end of what the command can take.
    DataBeyondEnd {
        /// Where it starts.
        offset: u32,
        /// Its length.
        length: u32,
        /// The Expected Data Transfer Length.
        limit: usize,
    } "{length} bytes for offset {offset} came for a command that takes {limit}" "11.7.6";
    /// More Data-In PDUs without data than any command needs.
    EmptyData "the target sends one Data-In PDU without data after the other" "11.7.7";
    /// A Data-In PDU with the status of a command that moves data both ways.
    StatusInData {
        /// The tag.
        itt: Itt,
    } "the target sent the status of task {itt}, which moves data both ways, with its data" "11.7.3";
    /// An R2T number that skips one.
    R2tGap {
        /// What was due.
        expected: Serial,
        /// What came.
        received: Serial,
    } "the target skipped from R2TSN {expected} to {received}" "4.2.2.4";
    /// An R2T that reaches beyond what the command writes.
    R2tBeyondEnd {
        /// Where it starts.
        offset: u32,
        /// Its length.
        length: u32,
        /// The Expected Data Transfer Length.
        limit: usize,
    } "an R2T for {length} bytes at offset {offset} came for a command that writes {limit}" "11.8";
    /// An R2T for more than MaxBurstLength.
    R2tTooLong {
        /// Its length.
        length: u32,
        /// MaxBurstLength.
        limit: u32,
    } "an R2T for {length} bytes exceeds MaxBurstLength {limit}" "11.8.4";
    /// An R2T that goes back, although DataSequenceInOrder is in force.
    R2tBackwards {
        /// Where it starts.
        offset: u32,
        /// Where the last sequence ended.
        end: usize,
    } "an R2T for offset {offset} came after data up to {end} was asked for" "11.8";
    /// An R2T that skips data, although DataSequenceInOrder is in force.
    R2tSkips {
        /// Where it starts.
        offset: u32,
        /// Where the last sequence ended.
        end: usize,
    } "an R2T for offset {offset} came although nothing beyond {end} was asked for yet" "11.8";
    /// More R2Ts than MaxOutstandingR2T allows.
    TooManyR2ts {
        /// MaxOutstandingR2T.
        limit: u16,
    } "the target has more than {limit} R2Ts outstanding for one task" "13.17";
    /// A PDU names another logical unit than its task does.
    WrongLun {
        /// The tag.
        itt: Itt,
    } "the target named another LUN than that of task {itt}" "4.2.5.3";
    /// A reject that does not hold the header it rejects.
    ShortReject "the target rejected a PDU without its header" "11.17";
    /// A text response that ends an exchange that this side has not ended, or goes on without a tag.
    TextSequence "the target broke the sequence of a text exchange" "11.11";
    /// An answer to SendTargets or to another text request without an end.
    TextTooLong {
        /// The limit in bytes.
        limit: usize,
    } "the target sent more than {limit} bytes of text" "6.1";
    /// A NOP-In with the tag of a task that is no ping.
    UnknownPing {
        /// The tag.
        itt: Itt,
    } "the target answered ping {itt}, which was not sent" "11.19";
}
