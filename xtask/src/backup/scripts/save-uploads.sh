#!/bin/sh
# Saves the uploads of GlitchTip, which may be at work meanwhile.
#
# Output:      a tar of the folder
# Volumes:     GlitchTip's uploads at /uploads, which may be read-only
# Repeatable:  yes; nothing is changed
set -eu
# 1 is what GNU tar says when a file changed or went while it was read. BusyBox tar says it of real errors
# too, so that the caller must look at what came.
tar -cf - --numeric-owner -C /uploads . || [ $? -eq 1 ]
