//! `-m fw`.

use riscsiadm::cli::request::{Firmware, Request};

use crate::{allowed, setting};

#[test]
fn firmware_is_shown_or_logged_in_to() {
    let login = |wait, settings| Request::Firmware(Firmware::Login { settings, wait });
    allowed(&[
        ("-m fw", Request::Firmware(Firmware::Show)),
        ("-m fw -W", Request::Firmware(Firmware::Show)),
        ("-m fw -n a -v b", Request::Firmware(Firmware::Show)),
        ("-m fw -d 3", Request::Firmware(Firmware::Show)),
        ("-m fw -l", login(true, vec![])),
        ("-m fw --login --no_wait", login(false, vec![])),
        ("-m fw -l -n a", login(true, vec![])),
        ("-m fw -l -n a -v b", login(true, vec![setting("a", "b")])),
    ]);
}
