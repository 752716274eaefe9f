"""Addresses of the account pages; of allauth's own only those that the console has."""

from __future__ import annotations

from allauth.account import views as account_views
from allauth.mfa.base import views as mfa_views
from allauth.mfa.recovery_codes import views as code_views
from allauth.mfa.totp import views as totp_views
from allauth.mfa.webauthn import views as passkey_views
from django.contrib.auth.decorators import login_required
from django.urls import path

from failover_console.accounts import single_sign_on, views
from failover_console.accounts.views import pressed, private

urlpatterns = [
    path("", private(views.account), name="account"),
    path("login/", private(views.LoginView.as_view()), name="account_login"),
    path("logout/", private(account_views.logout), name="account_logout"),
    path("disabled/", private(views.disabled), name="account_inactive"),
    path("password/", private(views.ChangePasswordView.as_view()), name="account_change_password"),
    path("password/set/", private(views.SetPasswordView.as_view()), name="account_set_password"),
    path("prove/", private(account_views.reauthenticate), name="account_reauthenticate"),
    path("sessions/end/", private(pressed(views.end_sessions)), name="account_end_sessions"),
    path("second-factor/", private(views.to_account), name="mfa_index"),
    path("second-factor/check/", private(views.AuthenticateView.as_view()), name="mfa_authenticate"),
    path("second-factor/prove/", private(mfa_views.reauthenticate), name="mfa_reauthenticate"),
    path("second-factor/app/", private(totp_views.activate_totp), name="mfa_activate_totp"),
    path("second-factor/app/remove/", private(totp_views.deactivate_totp), name="mfa_deactivate_totp"),
    path("second-factor/codes/", private(views.RecoveryCodesView.as_view()), name="mfa_view_recovery_codes"),
    path("second-factor/codes/new/", private(code_views.generate_recovery_codes), name="mfa_generate_recovery_codes"),
    path("passkeys/", private(views.to_account), name="mfa_list_webauthn"),
    path("passkeys/add/", private(views.AddPasskeyView.as_view()), name="mfa_add_webauthn"),
    path("passkeys/login/", private(passkey_views.login_webauthn), name="mfa_login_webauthn"),
    path("passkeys/prove/", private(views.ReauthenticateByPasskeyView.as_view()), name="mfa_reauthenticate_webauthn"),
    path("passkeys/<int:pk>/rename/", private(views.RenamePasskeyView.as_view()), name="mfa_edit_webauthn"),
    path("passkeys/<int:pk>/remove/", private(views.RemovePasskeyView.as_view()), name="mfa_remove_webauthn"),
    path("oidc/login/", private(pressed(single_sign_on.begin)), name="openid_connect_login"),
    path("oidc/callback/", private(single_sign_on.called_back), name="openid_connect_callback"),
    path("oidc/cancelled/", private(views.to_account), name="socialaccount_login_cancelled"),
    path("oidc/disconnect/", private(pressed(login_required(single_sign_on.disconnect))), name="socialaccount_connections"),
]
