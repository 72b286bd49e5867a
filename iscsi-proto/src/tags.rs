//! Task tags (RFC 7143, sections 11.2.1.8 and 11.7.4).

macro_rules! tag {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub struct $name(pub u32);

        impl $name {
            /// The value that stands for "no tag": 0xffffffff.
            pub const RESERVED: Self = Self(0xffff_ffff);

            /// Whether this is the value that stands for "no tag".
            #[inline]
            pub const fn is_reserved(self) -> bool {
                self.0 == Self::RESERVED.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{:#010x}", self.0)
            }
        }
    };
}

tag! {
    /// Initiator Task Tag: the initiator's name for a task, unique in the session while the task lives.
    Itt
}

tag! {
    /// Target Transfer Tag: the target's name for a transfer; opaque to the initiator, which only copies it.
    Ttt
}
