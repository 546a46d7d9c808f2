"""Decodes the sections of a component binary to plain records that know their byte offsets."""
