//! SCSI commands and data (SAM, SPC, SBC). Knows nothing of iSCSI.
