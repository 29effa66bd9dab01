"""Learned tools: weights from installed packages, run by ncnn on the CPU. Absent where a package is absent."""
