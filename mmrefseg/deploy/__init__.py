"""Out of the laboratory; each part asks for packages of its own, the extras of mmrefseg."""
