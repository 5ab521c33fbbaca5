"""What `plan` needs: compiling for machines that are not there."""
