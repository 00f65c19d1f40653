"""What the DICOM exports share: the source series, its labels, codes. Is no export itself."""
