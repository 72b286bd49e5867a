//! `iscsi://` URLs, in the form that users of libiscsi and QEMU type.
//!
//! ```text
//! iscsi://[user[%secret]@]host[:port][/target[/lun]][?key=value&…]
//!
//! iscsi://10.0.0.1
//! iscsi://alice%alicesecret12@array.example.com:3261/iqn.2001-04.com.example:disk1/0?header_digest=crc32c
//! iscsi://[2001:db8::1]/iqn.2001-04.com.example:disk1/1?target_user=array&target_password=arraysecret12
//! ```
//!
//! The port is 3260 unless given. An IPv6 address stands in brackets. The LUN is a number, or the 16 hexadecimal digits
//! of its 8-byte form after `0x`.
//!
//! | key | value | default |
//! |---|---|---|
//! | `header_digest`, `data_digest` | `none`, `crc32c` (demanded), `crc32c,none` or `none,crc32c` (by preference) | as the session is configured |
//! | `user`, `password` | the same as `user%secret@`, for names and secrets that do not fit there | no authentication |
//! | `target_user`, `target_password` | by what the target has to prove itself | it has not to |
//! | `auth` | CHAP algorithms, best first: `md5`, `sha1`, `sha256`, `sha3-256` with commas between | [`Algorithm::DEFAULT`] |
//! | `initiator` | the name of the initiator | as the session is configured |
//!
//! Every part may be percent-encoded, and in names and secrets `%`, `/`, `?`, `@` and `&` have to be. The `%` before the
//! secret is the first that no two hexadecimal digits follow, or else the first of all: the name can therefore be
//! encoded only if the secret does not start with two hexadecimal digits; the `user` key has no such limits. A secret
//! that starts with `0x` is read as hexadecimal bytes.
//!
//! Secrets in a command line are seen by every user of a machine. A URL may therefore have a user without a secret, to
//! be filled in from elsewhere. Neither `Display` nor `Debug` nor any error shows a secret.
//!
//! ```
//! use iscsi_initiator::core::secret::Auth;
//! use iscsi_initiator::url::IscsiUrl;
//!
//! let url: IscsiUrl = "iscsi://alice%alicesecret12@10.0.0.1/iqn.2001-04.com.example:disk1/1".parse()?;
//! assert_eq!(url.portal.to_string(), "10.0.0.1:3260");
//! assert_eq!(url.lun.and_then(|lun| lun.number()), Some(1));
//! assert!(matches!(url.auth()?, Auth::Chap(chap) if chap.initiator().user() == "alice"));
//! assert_eq!(url.to_string(), "iscsi://alice@10.0.0.1:3260/iqn.2001-04.com.example:disk1/1");
//! # Ok::<(), iscsi_initiator::url::UrlError>(())
//! ```

use std::fmt;
use std::str::FromStr;

use iscsi_proto::name::{IscsiName, NameError};
use iscsi_proto::portal::{Portal, PortalError};
use iscsi_proto::scsi::{Lun, LunError};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use zeroize::Zeroizing;

use crate::core::DigestOffer;
use crate::core::chap::Algorithm;
use crate::core::secret::{Auth, Chap, CredentialError, Credentials, Secret};

/// The keys that a query may have.
pub const QUERY_KEYS: [&str; 8] =
    ["header_digest", "data_digest", "user", "password", "target_user", "target_password", "auth", "initiator"];

const SCHEME: &str = "iscsi://";
/// What an encoded part keeps as it is.
const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':').remove(b',');

/// The parts of an `iscsi://` URL.
///
/// `Display` writes a URL that reads back as the same, but for the secrets, which it leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IscsiUrl {
    /// Where to connect.
    pub portal: Portal,
    /// The name by which the initiator proves itself.
    pub user: Option<String>,
    /// The secret that goes with it.
    pub secret: Option<Secret>,
    /// The target.
    pub target: Option<IscsiName>,
    /// The logical unit.
    pub lun: Option<Lun>,
    /// HeaderDigest.
    pub header_digest: Option<DigestOffer>,
    /// DataDigest.
    pub data_digest: Option<DigestOffer>,
    /// The name by which the target has to prove itself.
    pub target_user: Option<String>,
    /// The secret that goes with it.
    pub target_secret: Option<Secret>,
    /// The CHAP algorithms to offer, best first; none means the default ones.
    pub algorithms: Vec<Algorithm>,
    /// The name of the initiator.
    pub initiator: Option<IscsiName>,
}

/// Why a text is not such a URL, or why its parts do not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Another scheme, or none.
    #[error("an iSCSI URL starts with `iscsi://`")]
    Scheme,
    /// An `@` before which there is no name, or a name with control characters.
    #[error("before `@` stands the user as `user` or `user%secret`")]
    User,
    /// A name or a secret seems to hold a character that ends it.
    #[error("the host is cut off wrongly: in a user or secret, write `/` as %2F, `?` as %3F and `%` as %25")]
    Authority,
    /// The host or port is none.
    #[error(transparent)]
    Portal(#[from] PortalError),
    /// The target is no iSCSI name.
    #[error("in the path of the URL: {0}")]
    Target(NameError),
    /// The LUN is none.
    #[error("in the path of the URL: {0}")]
    Lun(#[from] LunError),
    /// A path that is not `/target/lun`.
    #[error("the path of an iSCSI URL is /target or /target/lun")]
    Path,
    /// A `%` that does not start an escape, or an escape that is no text.
    #[error("the {part} is not percent-encoded rightly: write `%` itself as %25")]
    Escape {
        /// Which part.
        part: &'static str,
    },
    /// A key of the query that means nothing.
    #[error("the query key {key:?} is not known; known are {}", QUERY_KEYS.join(", "))]
    UnknownKey {
        /// The start of the key.
        key: String,
    },
    /// The same behind a secret: it may be the rest of that secret, so it is not quoted.
    #[error("a query key is not known; in a secret, write `&` as %26; known are {}", QUERY_KEYS.join(", "))]
    AfterSecret,
    /// A key that stands twice in the query, or a secret that the user part has too.
    #[error("{key} is given twice")]
    Twice {
        /// The key.
        key: &'static str,
    },
    /// A value that the key cannot have.
    #[error("{key} cannot be {value:?}: it is {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// The start of the value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A user without a secret, when authentication is due.
    #[error("there is no secret for the user {user:?}")]
    NoSecret {
        /// The user.
        user: String,
    },
    /// A secret without a user.
    #[error("there is a secret without a user")]
    NoUser,
    /// The target is to prove itself, but the initiator is not.
    #[error("target_user needs a user too: in CHAP, the initiator proves itself first")]
    TargetUserAlone,
    /// A name or a secret that cannot be.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
}

impl IscsiUrl {
    /// A URL of a portal and nothing else.
    pub const fn new(portal: Portal) -> Self {
        Self {
            portal,
            user: None,
            secret: None,
            target: None,
            lun: None,
            header_digest: None,
            data_digest: None,
            target_user: None,
            target_secret: None,
            algorithms: Vec::new(),
            initiator: None,
        }
    }

    /// What login has to do to authenticate by this URL. Every user needs its secret by now.
    pub fn auth(&self) -> Result<Auth, UrlError> {
        let initiator = credentials(self.user.as_ref(), self.secret.as_ref())?;
        let target = credentials(self.target_user.as_ref(), self.target_secret.as_ref())?;
        let Some(initiator) = initiator else {
            return if target.is_some() { Err(UrlError::TargetUserAlone) } else { Ok(Auth::None) };
        };
        let mut chap = Chap::new(initiator);
        if let Some(target) = target {
            chap = chap.with_target(target)?;
        }
        if !self.algorithms.is_empty() {
            chap = chap.with_algorithms(&self.algorithms)?;
        }
        Ok(Auth::Chap(chap))
    }

    fn read_user(&mut self, text: &str) -> Result<(), UrlError> {
        let (user, secret) = split_secret(text);
        self.set_user(decode("user", user)?)?;
        self.secret = secret.map(decode_secret).transpose()?;
        Ok(())
    }

    fn set_user(&mut self, user: String) -> Result<(), UrlError> {
        if user.is_empty() || user.contains(char::is_control) {
            return Err(UrlError::User);
        }
        set("user", &mut self.user, user)
    }

    fn read_path(&mut self, path: &str) -> Result<(), UrlError> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let (target, lun) = match path.split_once('/') {
            Some((target, lun)) => (target, Some(lun)),
            None if path.is_empty() => return Ok(()),
            None => (path, None),
        };
        if target.is_empty() || lun.is_some_and(|lun| lun.is_empty() || lun.contains('/')) {
            return Err(UrlError::Path);
        }
        let target = decode("target name", target)?;
        self.target = Some(IscsiName::new(&target).map_err(UrlError::Target)?);
        self.lun = lun.map(|lun| Ok::<_, UrlError>(decode("LUN", lun)?.parse()?)).transpose()?;
        Ok(())
    }

    fn read_query(&mut self, pair: &str, after_secret: bool) -> Result<(), UrlError> {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let known = decode("query", key).ok().and_then(|key| QUERY_KEYS.into_iter().find(|known| *known == key));
        let key = match known {
            Some(key) => key,
            None if after_secret => return Err(UrlError::AfterSecret),
            None => return Err(UrlError::UnknownKey { key: excerpt(key) }),
        };
        match key {
            "password" => return set(key, &mut self.secret, decode_secret(value)?),
            "target_password" => return set(key, &mut self.target_secret, decode_secret(value)?),
            _ => {}
        }
        let value = decode(key, value)?;
        match key {
            "header_digest" => set(key, &mut self.header_digest, digest(key, &value)?),
            "data_digest" => set(key, &mut self.data_digest, digest(key, &value)?),
            "user" => self.set_user(value),
            "target_user" => set(key, &mut self.target_user, value),
            "auth" => self.set_algorithms(key, &value),
            _ => {
                let name = IscsiName::new(&value).map_err(|_| wrong(key, &value, "an iSCSI name"))?;
                set(key, &mut self.initiator, name)
            }
        }
    }

    fn set_algorithms(&mut self, key: &'static str, value: &str) -> Result<(), UrlError> {
        if !self.algorithms.is_empty() {
            return Err(UrlError::Twice { key });
        }
        let algorithms: Result<Vec<Algorithm>, _> = value.split(',').map(str::parse).collect();
        self.algorithms = algorithms.map_err(|_| wrong(key, value, "a list of md5, sha1, sha256, sha3-256"))?;
        Ok(())
    }

    /// The keys that `Display` writes after `?`.
    fn query(&self) -> Vec<(&'static str, String)> {
        let digest = |offer: DigestOffer| offer.as_str().to_ascii_lowercase();
        let algorithms = self.algorithms.iter().map(|algorithm| algorithm.name()).collect::<Vec<_>>().join(",");
        [
            ("user", self.user.clone().filter(|user| !is_plain(user))),
            ("header_digest", self.header_digest.map(digest)),
            ("data_digest", self.data_digest.map(digest)),
            ("target_user", self.target_user.clone()),
            ("auth", Some(algorithms).filter(|algorithms| !algorithms.is_empty())),
            ("initiator", self.initiator.as_ref().map(|name| name.as_written().to_owned())),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
    }
}

impl FromStr for IscsiUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_at_checked(SCHEME.len()).ok_or(UrlError::Scheme)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(UrlError::Scheme);
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = place.split_once('/').unwrap_or((place, ""));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        if path.contains('@') || (host.contains('%') && !host.starts_with('[')) {
            return Err(UrlError::Authority);
        }
        // RFC 6874 writes the % of a zone as %25.
        let mut url = Self::new(host.replacen("%25", "%", 1).parse()?);
        if let Some(user) = user {
            url.read_user(user)?;
        }
        url.read_path(path)?;
        let mut after_secret = false;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            url.read_query(pair, after_secret)?;
            after_secret |= pair.contains("password=");
        }
        Ok(url)
    }
}

impl fmt::Display for IscsiUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        if let Some(user) = self.user.as_ref().filter(|user| is_plain(user)) {
            write!(f, "{user}@")?;
        }
        self.portal.fmt(f)?;
        if let Some(target) = &self.target {
            write!(f, "/{}", encode(target.as_written()))?;
            self.lun.map_or(Ok(()), |lun| write!(f, "/{lun}"))?;
        }
        let mut separator = '?';
        for (key, value) in self.query() {
            write!(f, "{separator}{key}={}", encode(&value))?;
            separator = '&';
        }
        Ok(())
    }
}

fn credentials(user: Option<&String>, secret: Option<&Secret>) -> Result<Option<Credentials>, UrlError> {
    match (user, secret) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(UrlError::NoUser),
        (Some(user), None) => Err(UrlError::NoSecret { user: user.clone() }),
        (Some(user), Some(secret)) => Ok(Some(Credentials::new(user, secret.clone())?)),
    }
}

/// Splits at the first `%` that starts no escape, or else at the first.
fn split_secret(text: &str) -> (&str, Option<&str>) {
    let starts_escape = |at: usize| {
        let digits = text.as_bytes().get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let mut signs = text.match_indices('%').map(|(at, _)| at);
    let at = signs.find(|&at| !starts_escape(at)).or_else(|| text.find('%'));
    match at.and_then(|at| text.split_at_checked(at)) {
        Some((user, secret)) => (user, secret.get(1..)),
        None => (text, None),
    }
}

fn decode(part: &'static str, text: &str) -> Result<String, UrlError> {
    let bytes = unescape(part, text)?;
    String::from_utf8(bytes.to_vec()).map_err(|_| UrlError::Escape { part })
}

fn decode_secret(text: &str) -> Result<Secret, UrlError> {
    let bytes = unescape("secret", text)?;
    let secret = std::str::from_utf8(&bytes).map_or_else(|_| Secret::from_bytes(bytes.as_slice()), str::parse)?;
    Ok(secret)
}

fn unescape(part: &'static str, text: &str) -> Result<Zeroizing<Vec<u8>>, UrlError> {
    let escape =
        |rest: &str| rest.as_bytes().first_chunk::<2>().is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
    if text.split('%').skip(1).all(escape) {
        Ok(Zeroizing::new(percent_decode_str(text).collect()))
    } else {
        Err(UrlError::Escape { part })
    }
}

fn encode(text: &str) -> impl fmt::Display {
    utf8_percent_encode(text, ESCAPED)
}

/// Whether a name can stand before `@` without escapes.
fn is_plain(user: &str) -> bool {
    encode(user).to_string() == user
}

fn digest(key: &'static str, value: &str) -> Result<DigestOffer, UrlError> {
    match value.to_ascii_lowercase().as_str() {
        "none" => Ok(DigestOffer::None),
        "crc32c" => Ok(DigestOffer::Crc32c),
        "crc32c,none" => Ok(DigestOffer::PreferCrc32c),
        "none,crc32c" => Ok(DigestOffer::PreferNone),
        _ => Err(wrong(key, value, "none, crc32c, or both with a comma between")),
    }
}

fn set<T>(key: &'static str, place: &mut Option<T>, value: T) -> Result<(), UrlError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(UrlError::Twice { key }),
    }
}

fn wrong(key: &'static str, value: &str, expected: &'static str) -> UrlError {
    UrlError::Value { key, value: excerpt(value), expected }
}

/// What an error quotes: enough to recognise the text, never megabytes of it.
fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests;
