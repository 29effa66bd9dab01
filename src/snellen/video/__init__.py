"""Video: decoding, motion between frames, temporal faults, sampling and pooling of scores. Needs the extra `video`."""
