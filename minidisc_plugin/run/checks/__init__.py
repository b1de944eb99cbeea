"""What is refused or said before anything is trained."""
