"""How people log in and keep their account: the parts that django-allauth asks its site for, and the pages around them."""
