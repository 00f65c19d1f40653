"""What the files of a draft's folder are called. Knows nothing of what is in them."""

LABELS = "segmentation.nii.gz"
ENTROPY = "entropy.nii.gz"
MUTUAL = "mutual_information.nii.gz"
PROBABILITY = "probability.nii.gz"
REPORT = "report.json"
