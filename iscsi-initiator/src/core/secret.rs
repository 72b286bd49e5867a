//! Secrets, who they belong to, and what login is to demand of authentication (RFC 7143, section 9.2).
//!
//! ```
//! use iscsi_initiator::core::secret::{Auth, Chap, Credentials, Secret};
//!
//! let initiator = Credentials::new("alice", "alicesecret12".parse()?)?;
//! let target = Credentials::new("array", Secret::from_bytes([0x5a; 16])?)?;
//! let auth = Auth::Chap(Chap::new(initiator).with_target(target)?);
//! assert!(!format!("{auth:?}").contains("alicesecret12"));
//! # Ok::<(), iscsi_initiator::core::secret::CredentialError>(())
//! ```

use std::fmt;
use std::str::FromStr;

use iscsi_proto::keys::text::MAX_SIMPLE_LEN;
use iscsi_proto::keys::value;
use rand::TryRng;
use rand::rngs::SysRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::chap::Algorithm;

/// A CHAP secret: whole bytes, wiped when dropped, never printed, compared in constant time.
///
/// Parsing takes text as it is, and hexadecimal digits after `0x` as the bytes that they stand for. A text that itself
/// begins with `0x` has to be given that way.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

/// A CHAP name with its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    secret: Secret,
}

/// How the two sides of a login prove who they are.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Auth {
    /// Not at all. A target that demands more refuses the login.
    #[default]
    None,
    /// By CHAP.
    Chap(Chap),
}

/// What a login by CHAP offers and demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chap {
    initiator: Credentials,
    target: Option<Credentials>,
    algorithms: Vec<Algorithm>,
    strong_only: bool,
    or_none: bool,
}

/// What can be wrong with secrets and names before anything is sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// A secret without bytes.
    #[error("a CHAP secret cannot be empty")]
    EmptySecret,
    /// A secret of more than [`Secret::MAX_LEN`] bytes.
    #[error("a CHAP secret has at most {} bytes, this one has {len}", Secret::MAX_LEN)]
    LongSecret {
        /// How many bytes there are.
        len: usize,
    },
    /// What follows `0x` is not pairs of hexadecimal digits.
    #[error("after 0x, a CHAP secret has two hexadecimal digits for each byte and nothing else")]
    Hex,
    /// A name that is empty, longer than 255 bytes, or that holds a NUL.
    #[error("a CHAP name has 1 to 255 bytes and no NUL")]
    Name,
    /// Both directions have one secret.
    #[error("initiator and target need different CHAP secrets (RFC 7143, section 9.2.1)")]
    SameSecret,
    /// A secret of less than [`Secret::STRONG_LEN`] bytes where policy forbids it.
    #[error("the CHAP secret of {user:?} has less than {} bytes (RFC 7143, section 9.2.1)", Secret::STRONG_LEN)]
    ShortSecret {
        /// Whose secret it is.
        user: String,
    },
    /// A list of algorithms that is empty or names one twice.
    #[error("the list of CHAP algorithms needs at least one and each only once")]
    Algorithms,
    /// The target is to prove itself, and yet a login without any proof is to be allowed.
    #[error("a login in which the target has to prove itself cannot do without authentication as well")]
    MutualOrNone,
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes: {0}")]
    Random(String),
}

/// What is legal but weak. A user should hear of it once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialWarning {
    /// A secret of less than [`Secret::STRONG_LEN`] bytes can be guessed by those who listen.
    #[error(
        "the CHAP secret of {user:?} has less than {} bytes: who listens on the wire can guess it",
        Secret::STRONG_LEN
    )]
    ShortSecret {
        /// Whose secret it is.
        user: String,
    },
    /// Without MD5, targets that know nothing else refuse the login.
    #[error("CHAP is offered without MD5, which is all that many targets know (RFC 7143, section 12.1.3)")]
    NoMd5,
}

impl Secret {
    /// The most bytes that a secret may have.
    pub const MAX_LEN: usize = MAX_SIMPLE_LEN;
    /// From this many bytes on (96 bits) a random secret withstands who listens on the wire.
    pub const STRONG_LEN: usize = 12;

    /// A secret of these bytes: 1 to [`Secret::MAX_LEN`] of them.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, CredentialError> {
        let bytes = Zeroizing::new(bytes.into());
        match bytes.len() {
            0 => Err(CredentialError::EmptySecret),
            len if len > Self::MAX_LEN => Err(CredentialError::LongSecret { len }),
            _ => Ok(Self(bytes)),
        }
    }

    /// A new secret of 128 random bits from the operating system.
    pub fn generate() -> Result<Self, CredentialError> {
        let mut bytes = Zeroizing::new([0; 16]);
        fill(bytes.as_mut_slice())?;
        Self::from_bytes(bytes.as_slice())
    }

    /// Whether it has less than [`Secret::STRONG_LEN`] bytes.
    pub fn is_short(&self) -> bool {
        self.0.len() < Self::STRONG_LEN
    }

    /// The secret itself as `0x` and hexadecimal digits, to be handed to the other side's administrator.
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(value::hex(&self.0))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = CredentialError;

    fn from_str(text: &str) -> Result<Self, CredentialError> {
        let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) else {
            return Self::from_bytes(text);
        };
        if digits.len() > 2 * Self::MAX_LEN {
            return Err(CredentialError::LongSecret { len: digits.len().div_ceil(2) });
        }
        if digits.len() % 2 != 0 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(CredentialError::Hex);
        }
        Self::from_bytes(value::binary(text, Self::MAX_LEN).map_err(|_| CredentialError::Hex)?)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl Credentials {
    /// A name of 1 to 255 bytes, which need not be an iSCSI name, and its secret.
    pub fn new(user: impl Into<String>, secret: Secret) -> Result<Self, CredentialError> {
        let user = user.into();
        if user.is_empty() || user.len() > MAX_SIMPLE_LEN || user.contains('\0') {
            return Err(CredentialError::Name);
        }
        Ok(Self { user, secret })
    }

    /// The name, sent as CHAP_N.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The secret.
    pub const fn secret(&self) -> &Secret {
        &self.secret
    }
}

impl Chap {
    /// CHAP by which the initiator proves itself, with the algorithms of [`Algorithm::DEFAULT`].
    pub fn new(initiator: Credentials) -> Self {
        let algorithms = Algorithm::DEFAULT.to_vec();
        Self { initiator, target: None, algorithms, strong_only: false, or_none: false }
    }

    /// The target has to prove itself too, by these credentials.
    pub fn with_target(mut self, target: Credentials) -> Result<Self, CredentialError> {
        if target.secret == self.initiator.secret {
            return Err(CredentialError::SameSecret);
        }
        self.target = Some(target);
        Ok(self)
    }

    /// The algorithms to offer, best first. A list without MD5 breaks a rule of the RFC on purpose.
    pub fn with_algorithms(mut self, algorithms: &[Algorithm]) -> Result<Self, CredentialError> {
        let mut rest = algorithms;
        while let [first, others @ ..] = rest {
            if others.contains(first) {
                return Err(CredentialError::Algorithms);
            }
            rest = others;
        }
        if algorithms.is_empty() {
            return Err(CredentialError::Algorithms);
        }
        algorithms.clone_into(&mut self.algorithms);
        Ok(self)
    }

    /// Short secrets are refused when login starts. By default they are used, because many targets have them.
    #[must_use]
    pub const fn strong_secrets_only(mut self) -> Self {
        self.strong_only = true;
        self
    }

    /// Login may go on without authentication if the target does not ask for it. By default it fails then.
    ///
    /// Cannot be combined with [`Chap::with_target`]: login fails before anything is sent.
    #[must_use]
    pub const fn or_none(mut self) -> Self {
        self.or_none = true;
        self
    }

    /// By what the initiator proves itself.
    pub const fn initiator(&self) -> &Credentials {
        &self.initiator
    }

    /// By what the target has to prove itself, if it has to.
    pub const fn target(&self) -> Option<&Credentials> {
        self.target.as_ref()
    }

    /// The algorithms to offer, best first.
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// What is legal but weak.
    pub fn warnings(&self) -> Vec<CredentialWarning> {
        let short = self.short_secrets().map(|user| CredentialWarning::ShortSecret { user: user.into() });
        let no_md5 = !self.algorithms.contains(&Algorithm::Md5);
        short.chain(no_md5.then_some(CredentialWarning::NoMd5)).collect()
    }

    /// Whether a login without authentication is good enough.
    pub(crate) const fn allows_none(&self) -> bool {
        self.or_none
    }

    /// Checks what can only be seen once all is set.
    pub(crate) fn check(&self) -> Result<(), CredentialError> {
        if self.or_none && self.target.is_some() {
            return Err(CredentialError::MutualOrNone);
        }
        match self.short_secrets().next() {
            Some(user) if self.strong_only => Err(CredentialError::ShortSecret { user: user.into() }),
            _ => Ok(()),
        }
    }

    fn short_secrets(&self) -> impl Iterator<Item = &str> {
        let all = std::iter::once(&self.initiator).chain(&self.target);
        all.filter(|credentials| credentials.secret.is_short()).map(Credentials::user)
    }
}

/// Random bytes from the operating system: the one place where this crate draws them for authentication.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), CredentialError> {
    SysRng.try_fill_bytes(bytes).map_err(|error| CredentialError::Random(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(user: &str, secret: &str) -> Credentials {
        Credentials::new(user, secret.parse().unwrap()).unwrap()
    }

    #[test]
    fn r129_a_secret_is_text_or_hexadecimal_bytes() {
        for (text, bytes) in [
            ("alicesecret12", b"alicesecret12".to_vec()),
            ("p%w\u{e4}", "p%w\u{e4}".as_bytes().to_vec()),
            ("x0x00", b"x0x00".to_vec()),
            ("0x000102030405060708090a0b0c0d0e0f", (0..16).collect()),
            ("0XFFfe", vec![0xff, 0xfe]),
        ] {
            assert_eq!(text.parse::<Secret>().unwrap().bytes(), bytes, "{text}");
        }
    }

    #[test]
    fn r129_a_secret_has_whole_bytes_and_a_bounded_length() {
        for text in ["0xabc", "0xzz", "0x0", "0x 0", "0x0 ", "0x+1"] {
            assert_eq!(text.parse::<Secret>(), Err(CredentialError::Hex), "{text}");
        }
        assert_eq!("".parse::<Secret>(), Err(CredentialError::EmptySecret));
        assert_eq!("0x".parse::<Secret>(), Err(CredentialError::EmptySecret));
        assert!("s".repeat(255).parse::<Secret>().is_ok());
        assert_eq!("s".repeat(256).parse::<Secret>(), Err(CredentialError::LongSecret { len: 256 }));
        assert!(format!("0x{}", "ab".repeat(255)).parse::<Secret>().is_ok());
        assert_eq!(format!("0x{}", "ab".repeat(256)).parse::<Secret>(), Err(CredentialError::LongSecret { len: 256 }));
    }

    #[test]
    fn r129_a_generated_secret_has_128_random_bits_and_round_trips() {
        let (first, second) = (Secret::generate().unwrap(), Secret::generate().unwrap());
        assert_eq!(first.bytes().len(), 16);
        assert_ne!(first, second);
        assert!(!first.is_short());
        assert_eq!(first.reveal().parse::<Secret>().unwrap(), first);
    }

    #[test]
    fn r137_no_secret_is_printed_by_debug_or_by_an_error() {
        let chap = Chap::new(credentials("alice", "hushhush")).with_target(credentials("array", "whisper")).unwrap();
        let printed = format!("{chap:?} {:#?} {:?}", Auth::Chap(chap.clone()), chap.warnings());
        assert!(printed.contains("alice") && printed.contains("Secret(***)"));
        for secret in ["hush", "whisper", "68757368", "104, 117"] {
            assert!(!printed.contains(secret), "{printed}");
        }
        let error = "0xhushhush".parse::<Secret>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hush"));
    }

    #[test]
    fn r127_both_directions_need_different_secrets() {
        let chap = Chap::new(credentials("alice", "samesecret123"));
        let same = credentials("array", "0x73616d65736563726574313233");
        assert_eq!(chap.clone().with_target(same), Err(CredentialError::SameSecret));
        assert!(chap.with_target(credentials("array", "samesecret124")).is_ok());
    }

    #[test]
    fn r128_a_secret_below_twelve_bytes_is_a_warning_or_with_that_policy_an_error() {
        let short = Chap::new(credentials("alice", "elevenbytes"));
        let warning = CredentialWarning::ShortSecret { user: "alice".into() };
        assert_eq!(short.warnings(), [warning]);
        assert_eq!(short.check(), Ok(()));
        let error = CredentialError::ShortSecret { user: "alice".into() };
        assert_eq!(short.clone().strong_secrets_only().check(), Err(error));

        let long = Chap::new(credentials("alice", "twelve.bytes")).strong_secrets_only();
        assert_eq!(long.warnings(), []);
        assert_eq!(long.check(), Ok(()));

        let target = long.with_target(credentials("array", "short")).unwrap();
        assert_eq!(target.warnings(), [CredentialWarning::ShortSecret { user: "array".into() }]);
        assert_eq!(target.check(), Err(CredentialError::ShortSecret { user: "array".into() }));
    }

    #[test]
    fn r117_md5_is_offered_unless_the_caller_says_otherwise() {
        let chap = Chap::new(credentials("alice", "alicesecret12"));
        assert!(chap.algorithms().contains(&Algorithm::Md5));
        assert_eq!(chap.warnings(), []);
        let modern = chap.clone().with_algorithms(&[Algorithm::Sha256, Algorithm::Sha3_256]).unwrap();
        assert_eq!(modern.algorithms(), [Algorithm::Sha256, Algorithm::Sha3_256]);
        assert_eq!(modern.warnings(), [CredentialWarning::NoMd5]);
        assert_eq!(chap.clone().with_algorithms(&[]), Err(CredentialError::Algorithms));
        let twice = [Algorithm::Md5, Algorithm::Sha1, Algorithm::Md5];
        assert_eq!(chap.with_algorithms(&twice), Err(CredentialError::Algorithms));
    }

    #[test]
    fn r133_a_target_that_has_to_prove_itself_excludes_a_login_without_proof() {
        let chap = Chap::new(credentials("alice", "alicesecret12"));
        assert!(!chap.allows_none());
        let optional = chap.or_none();
        assert!(optional.allows_none());
        assert_eq!(optional.check(), Ok(()));
        let mutual = optional.with_target(credentials("array", "arraysecret12")).unwrap();
        assert_eq!(mutual.check(), Err(CredentialError::MutualOrNone));
    }

    #[test]
    fn a_name_has_1_to_255_bytes_without_nul() {
        let secret: Secret = "alicesecret12".parse().unwrap();
        for user in ["a", "iqn.2024-01.com.example:host", "with space#and/%", &"u".repeat(255)] {
            assert_eq!(Credentials::new(user, secret.clone()).unwrap().user(), user);
        }
        for user in ["", "a\0b", &"u".repeat(256)] {
            assert_eq!(Credentials::new(user, secret.clone()), Err(CredentialError::Name));
        }
    }
}
