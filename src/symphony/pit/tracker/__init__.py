"""pit/tracker."""
